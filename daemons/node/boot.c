/* boot - kernels and ramdisks as files, for the hypervisor to load.
 *
 * Volumes of images never change, so a file once complete is right for ever;
 * it is written beside and renamed. */
#include "node/node.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { EXPORT_MS = 600000 };

struct boot_op {
    struct node *node;
    vol_done_fn *done;
    void *arg;
    char ids[2][SC_UUID_LEN + 1];
    unsigned next;
    char part[600];
    struct sc_source *timer;
    struct sc_err err;
};

static void fetch_next(struct boot_op *op);

void boot_path(const struct node *n, const char *volume_id, char ret[512])
{
    snprintf(ret, 512, "%s/boot/%s", n->config->state_dir, volume_id);
}

static void end(void *arg)
{
    struct boot_op *op = arg;
    sc_source_free(op->timer);
    op->done(op->arg, &op->err);
    free(op);
}

static void end_later(struct boot_op *op)
{
    if (sc_loop_add_timer(op->node->loop, 0, 0, end, op, &op->timer) < 0)
        abort(); /* Not even memory for a timer. */
}

static void exported(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct boot_op *op = arg;
    char path[512];
    boot_path(op->node, op->ids[op->next], path);
    if (!result) {
        op->err = *err;
        unlink(op->part);
    } else if (rename(op->part, path) < 0) {
        sc_fail(&op->err, -errno, "%s: %s", path, strerror(errno));
    }
    op->next++;
    fetch_next(op);
}

static void fetch_next(struct boot_op *op)
{
    char path[512];
    while (op->next < 2 && op->err.code == 0) {
        const char *id = op->ids[op->next];
        boot_path(op->node, id, path);
        if (!*id || access(path, R_OK) == 0) {
            op->next++;
            continue;
        }
        snprintf(op->part, sizeof op->part, "%s.%p.part", path, (void *)op);
        cJSON *p = cJSON_CreateObject();
        cJSON_AddStringToObject(p, "volume_id", id);
        cJSON_AddStringToObject(p, "path", op->part);
        rpc_call(op->node->loop, rpc_client_conn(op->node->storage),
                 "volume.export_file", p, EXPORT_MS, exported, op);
        return;
    }
    end_later(op);
}

void boot_fetch(struct node *n, const struct vmspec *spec, vol_done_fn *done,
                void *arg)
{
    struct boot_op *op = calloc(1, sizeof *op);
    char dir[512];
    if (!op)
        abort(); /* Some KiB: the machine is beyond help. */
    boot_path(n, "", dir);
    mkdir(dir, 0770);
    op->node = n;
    op->done = done;
    op->arg = arg;
    snprintf(op->ids[0], sizeof op->ids[0], "%s", spec->kernel_volume);
    snprintf(op->ids[1], sizeof op->ids[1], "%s", spec->ramdisk_volume);
    fetch_next(op);
}

void boot_trim(struct node *n)
{
    char path[512];
    boot_path(n, "", path);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        bool used = e->d_name[0] == '.';
        for (struct vm *vm = n->vms; vm && !used; vm = vm->next)
            used = !strcmp(e->d_name, vm->spec.kernel_volume) ||
                   !strcmp(e->d_name, vm->spec.ramdisk_volume);
        boot_path(n, e->d_name, path);
        if (!used)
            unlink(path);
    }
    if (dir)
        closedir(dir);
}

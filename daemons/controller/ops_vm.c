/* What users do with VMs.  All that can be refused is refused here, before
 * anything is stored; then the VM, its addresses and its job appear in one
 * commit, and the job does the rest. */
#include "controller/jobs.h"
#include "controller/ops.h"
#include "scheduler/place.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    MEMORY_MIN_MIB = 16,
    MEMORY_MAX_MIB = 4 << 20,
    VCPUS_MAX = 128,
    DISK_MAX_GIB = 16384,
    STOP_GRACE_MS = 30000,
    MAX_DOWNTIME_MS = 300,
    CONSOLE_LOG_BYTES = 65536,
    CONSOLE_LOG_MAX = 1 << 20,
    CONSOLE_LOG_TIMEOUT_MS = 10000,
};

struct vm *op_vm(struct op_call *c)
{
    struct json_reader r = json_read(c->params, "vm");
    const char *id = json_str(&r, "id", 1, OBJ_NAME);
    struct sc_err err;
    if (json_done(&r, &err) < 0) {
        op_fail(c, &err);
        return NULL;
    }
    struct vm *v = ctl_vm_find(c->ctl, id);
    if (!v)
        op_failf(c, -ENOENT, "vm '%s': not found", id);
    return v;
}

/* As op_vm, and nothing works on it. */
static struct vm *idle_vm(struct op_call *c)
{
    struct vm *v = op_vm(c);
    if (!v || !v->job[0])
        return v;
    const struct job *job = ctl_job_find(c->ctl, v->job);
    op_failf(c, -EBUSY, "vm '%s': job %s (%s) is at work on it", v->name,
             v->job, job ? job->kind->name : "?");
    return NULL;
}

void op_vm_list(struct op_call *c)
{
    cJSON *j = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(j, "vms");
    for (size_t i = 0; i < c->ctl->vms.n; i++)
        cJSON_AddItemToArray(list, ctl_vm_json(c->ctl, c->ctl->vms.items[i]));
    op_reply(c, 0, j);
}

void op_vm_show(struct op_call *c)
{
    const struct vm *v = op_vm(c);
    if (v)
        op_reply(c, 0, ctl_vm_json(c->ctl, v));
}

/* Commits 'x' with a new job for 'v', answers 202 {vm, job}, begins. */
static void begin_job(struct op_call *c, struct ctl_txn *x, struct vm *v,
                      const struct job_kind *kind, cJSON *data)
{
    struct sc_err err;
    struct job *job = job_add(c->ctl, x, kind, v->id, v->name, data);
    if (job) {
        OBJ_SET(v->job, job->id);
        ctl_put_vm(x, v);
    }
    if (ctl_txn_commit(x, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    cJSON *j = cJSON_CreateObject();
    if (kind != &vm_delete_job)
        cJSON_AddItemToObject(j, "vm", ctl_vm_json(c->ctl, v));
    cJSON_AddItemToObject(j, "job", job_to_json(job, false));
    op_reply(c, 202, j);
    job_go(c->ctl, job);
}

/* --- create -----------------------------------------------------------------
 */

struct create {
    const char *name, *image, *network, *region, *node, *cmdline;
    uint64_t memory_mib, disk_gib;
    uint32_t vcpus;
};

static int create_read(const cJSON *params, struct create *q,
                       struct sc_err *err)
{
    static const char *const keys[] = { "name",   "image",    "network",
                                        "region", "node",     "cmdline",
                                        "vcpus",  "disk_gib", "memory_mib",
                                        NULL };
    struct json_reader r = json_read(params, "vm.create");
    q->name = json_str(&r, "name", 1, OBJ_NAME - 1);
    q->image = json_str(&r, "image", 1, OBJ_NAME);
    q->network = json_str_or(&r, "network", OBJ_NAME, "");
    q->region = json_str_or(&r, "region", OBJ_NAME - 1, "");
    q->node = json_str_or(&r, "node", OBJ_NAME, "");
    q->cmdline = json_str_or(&r, "cmdline", OBJ_CMDLINE - 1, "");
    q->memory_mib =
        (uint64_t)json_int(&r, "memory_mib", MEMORY_MIN_MIB, MEMORY_MAX_MIB);
    q->vcpus = (uint32_t)json_int_or(&r, "vcpus", 1, VCPUS_MAX, 1);
    q->disk_gib = (uint64_t)json_int_or(&r, "disk_gib", 0, DISK_MAX_GIB, 0);
    json_only(&r, keys);
    int e = json_done(&r, err);
    if (e == 0 && !sc_name_ok(q->name))
        e = sc_fail(err, -EINVAL,
                    "vm.create: 'name' '%s': must be 1 to 63 of a-z A-Z 0-9 . "
                    "_ -, the first a letter or digit",
                    q->name);
    return e;
}

/* A kernel or ramdisk of an image, "" for none, must be there by now. */
static int check_part(struct ctl *ctl, const char *id, struct sc_err *err)
{
    const struct image *part = id[0] ? ctl_image_find(ctl, id) : NULL;
    if (id[0] && !part)
        return sc_fail(err, -ENOENT, "image '%s': not found", id);
    if (part && part->state != IMAGE_ACTIVE)
        return sc_fail(err, -EBUSY, "image '%s': is %s, not active", part->name,
                       image_state_name(part->state));
    return 0;
}

static int create_image(struct ctl *ctl, const struct create *q, struct vm *v,
                        struct sc_err *err)
{
    const struct image *image = ctl_image_find(ctl, q->image);
    if (!image)
        return sc_fail(err, -ENOENT, "image '%s': not found", q->image);
    if (strcmp(image->kind, "disk") != 0)
        return sc_fail(err, -EINVAL, "image '%s': is a %s, not a disk",
                       image->name, image->kind);
    if (image->state != IMAGE_ACTIVE)
        return sc_fail(err, -EBUSY, "image '%s': is %s, not active",
                       image->name, image_state_name(image->state));
    if (q->memory_mib < image->min_memory_mib)
        return sc_fail(err, -EINVAL,
                       "image '%s': needs at least %" PRIu64 " MiB of memory",
                       image->name, image->min_memory_mib);
    uint64_t size = (image->size + 4095) / 4096 * 4096;
    if (q->disk_gib && q->disk_gib << 30 < size)
        return sc_fail(err, -EINVAL,
                       "'disk_gib' %" PRIu64
                       ": the image '%s' alone has %" PRIu64 " bytes",
                       q->disk_gib, image->name, image->size);
    if (check_part(ctl, image->kernel, err) < 0 ||
        check_part(ctl, image->ramdisk, err) < 0)
        return err->code;
    OBJ_SET(v->image, image->id);
    OBJ_SET(v->kernel, image->kernel);
    OBJ_SET(v->ramdisk, image->ramdisk);
    OBJ_SET(v->cmdline, q->cmdline[0] ? q->cmdline : image->cmdline);
    struct vm_volume *disk = &v->volumes[v->n_volumes++];
    sc_uuid_new(disk->id);
    OBJ_SET(disk->dev, "xvda");
    disk->size = q->disk_gib ? q->disk_gib << 30 : size;
    return 0;
}

static int create_port(struct ctl *ctl, const struct create *q, struct vm *v,
                       struct sc_err *err)
{
    if (!q->network[0])
        return 0;
    const struct network *n = ctl_network_find(ctl, q->network);
    if (!n)
        return sc_fail(err, -ENOENT, "network '%s': not found", q->network);
    struct vm_port *p = &v->ports[0];
    int r = ctl_network_take_ip(ctl, n, p->ip, err);
    if (r < 0)
        return r;
    sc_uuid_new(p->id);
    OBJ_SET(p->network, n->id);
    port_mac(p->id, p->mac);
    v->n_ports = 1;
    return 0;
}

/* A region that no node is in is a slip of the pen.  With every node of it
 * full, the VM begins at the nearest one (scheduler/place.h). */
static int check_region(const struct ctl *ctl, const char *region,
                        struct sc_err *err)
{
    for (size_t i = 0; i < ctl->nodes.n; i++)
        if (!strcmp(ctl->nodes.items[i]->n.region, region))
            return 0;
    return sc_fail(err, -ENOENT, "region '%s': no node is in it", region);
}

static int create_make(struct ctl *ctl, const struct create *q, struct vm *v,
                       struct ctl_node **ret_node, struct sc_err *err)
{
    if (ctl_vm_find(ctl, q->name))
        return sc_fail(err, -EEXIST, "vm '%s': exists already", q->name);
    int r = create_image(ctl, q, v, err);
    if (r == 0 && q->region[0])
        r = check_region(ctl, q->region, err);
    if (r == 0)
        r = create_port(ctl, q, v, err);
    if (r < 0)
        return r;
    sc_uuid_new(v->id);
    OBJ_SET(v->name, q->name);
    OBJ_SET(v->region, q->region);
    v->memory_mib = q->memory_mib;
    v->vcpus = q->vcpus;
    v->created_at = ctl_now(ctl);
    v->state = VM_PENDING;
    struct place_request place = { .memory_mib = q->memory_mib,
                                   .region = q->region,
                                   .node = q->node,
                                   .in_region = "" };
    return ctl_place(ctl, &place, ret_node, err);
}

static cJSON *start_data(const struct vm *v, const struct ctl_node *n)
{
    cJSON *data = cJSON_CreateObject();
    json_set_u64(data, "nid", n->n.nid);
    json_set_u64(data, "memory_mib", v->memory_mib);
    return data;
}

void op_vm_create(struct op_call *c)
{
    struct create q;
    struct sc_err err;
    struct ctl_node *n = NULL;
    SC_AUTO(free) struct vm *v = calloc(1, sizeof *v);
    if (!v) {
        op_failf(c, -ENOMEM, "vm.create: out of memory");
        return;
    }
    if (create_read(c->params, &q, &err) < 0 ||
        create_make(c->ctl, &q, v, &n, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    v->nid = n ? n->n.nid : 0;
    if (!n || !ctl_list_add(&c->ctl->vms, v)) {
        op_failf(c, -ENOMEM, "vm.create: out of memory");
        return;
    }
    struct vm *made = SC_TAKE(v);
    begin_job(c, ctl_txn_begin(c->ctl), made, &vm_create_job,
              start_data(made, n));
}

/* --- start, stop, delete
 * --------------------------------------------------------- */

void op_vm_start(struct op_call *c)
{
    struct sc_err err;
    struct ctl_node *n = NULL;
    struct vm *v = idle_vm(c);
    if (!v)
        return;
    if (!vm_state_may(v->state, VM_PENDING)) {
        op_failf(c, -EBUSY, "vm '%s': is %s", v->name, vm_state_name(v->state));
        return;
    }
    /* Where its blocks are, if that node can take it; else anywhere near. */
    struct ctl_node *last = ctl_node_by_nid(c->ctl, v->last_nid);
    struct place_request place = { .memory_mib = v->memory_mib,
                                   .region = last ? last->n.region : v->region,
                                   .node = last ? last->n.id : "",
                                   .in_region = "" };
    int r = last ? ctl_place(c->ctl, &place, &n, &err) : -ENOENT;
    place.node = "";
    if (r < 0 && ctl_place(c->ctl, &place, &n, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    vm_move(v, VM_PENDING);
    v->nid = n->n.nid;
    v->error[0] = '\0';
    begin_job(c, ctl_txn_begin(c->ctl), v, &vm_start_job, start_data(v, n));
}

void op_vm_stop(struct op_call *c)
{
    struct vm *v = idle_vm(c);
    if (!v)
        return;
    if (!vm_state_may(v->state, VM_STOPPING) || !v->nid) {
        op_failf(c, -EBUSY, "vm '%s': is %s", v->name, vm_state_name(v->state));
        return;
    }
    bool force = op_flag(c->params, "force");
    cJSON *data = cJSON_CreateObject();
    json_set_u64(data, "grace_ms", force ? 0 : STOP_GRACE_MS);
    json_set_u64(data, "destroy", force);
    vm_move(v, VM_STOPPING);
    begin_job(c, ctl_txn_begin(c->ctl), v, &vm_stop_job, data);
}

void op_vm_delete(struct op_call *c)
{
    struct vm *v = idle_vm(c);
    if (!v)
        return;
    const struct ctl_node *n = ctl_node_by_nid(c->ctl, v->nid);
    bool force = op_flag(c->params, "force");
    if (n && n->n.state == NODE_DOWN && !force) {
        op_failf(c, -EHOSTUNREACH,
                 "vm '%s': its node '%s' is down and may still run it; wait "
                 "for it, or say force to give the VM up",
                 v->name, n->n.name);
        return;
    }
    cJSON *data = cJSON_CreateObject();
    json_set_u64(data, "destroy", 1);
    json_set_u64(data, "abandon", force);
    vm_move(v, VM_DELETING);
    begin_job(c, ctl_txn_begin(c->ctl), v, &vm_delete_job, data);
}

/* --- migrate
 * --------------------------------------------------------------------- */

void op_vm_migrate(struct op_call *c)
{
    struct json_reader r = json_read(c->params, "vm.migrate");
    const char *node = json_str_or(&r, "node", OBJ_NAME, "");
    const char *region = json_str_or(&r, "region", OBJ_NAME - 1, "");
    int64_t downtime =
        json_int_or(&r, "max_downtime_ms", 1, 60000, MAX_DOWNTIME_MS);
    struct sc_err err;
    struct ctl_node *to = NULL;
    if (json_done(&r, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    if (!node[0] && !region[0]) {
        op_failf(c, -EINVAL, "vm.migrate: say to which 'node' or 'region'");
        return;
    }
    struct vm *v = idle_vm(c);
    if (!v)
        return;
    if (v->state != VM_RUNNING) {
        op_failf(c, -EBUSY, "vm '%s': is %s, only a running one can move",
                 v->name, vm_state_name(v->state));
        return;
    }
    struct place_request place = { .memory_mib = v->memory_mib,
                                   .region = region,
                                   .node = node,
                                   .not_nid = v->nid,
                                   .in_region = region };
    if (ctl_place(c->ctl, &place, &to, &err) < 0) {
        sc_fail_in(&err, "vm '%s'", v->name);
        op_fail(c, &err);
        return;
    }
    cJSON *data = cJSON_CreateObject();
    json_set_u64(data, "from_nid", v->nid);
    json_set_u64(data, "to_nid", to->n.nid);
    json_set_u64(data, "memory_mib", v->memory_mib);
    json_set_u64(data, "max_downtime_ms", (uint64_t)downtime);
    vm_move(v, VM_MIGRATING);
    begin_job(c, ctl_txn_begin(c->ctl), v, &vm_migrate_job, data);
}

/* --- console log
 * ------------------------------------------------------------------ */

/* Replaces what is not UTF-8 (RFC 3629) by U+FFFD; and NULs, which C text
 * cannot hold.  malloc'd; NULL out of memory. */
static char *to_utf8(const uint8_t *data, size_t size)
{
    char *out = malloc(3 * size + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < size;) {
        uint8_t b = data[i];
        size_t len = b < 0x80   ? 1
                     : b < 0xc2 ? 0
                     : b < 0xe0 ? 2
                     : b < 0xf0 ? 3
                     : b < 0xf5 ? 4
                                : 0;
        bool ok = len > 0 && i + len <= size && b != 0;
        for (size_t k = 1; ok && k < len; k++)
            ok = (data[i + k] & 0xc0) == 0x80;
        if (ok && len == 3)
            ok = !(b == 0xe0 && data[i + 1] < 0xa0) &&
                 !(b == 0xed && data[i + 1] > 0x9f);
        if (ok && len == 4)
            ok = !(b == 0xf0 && data[i + 1] < 0x90) &&
                 !(b == 0xf4 && data[i + 1] > 0x8f);
        memcpy(out + n, ok ? (const char *)data + i : "\xef\xbf\xbd",
               ok ? len : 3);
        n += ok ? len : 3;
        i += ok ? len : 1;
    }
    if (out)
        out[n] = '\0';
    return out;
}

static void console_log_answer(void *arg, const cJSON *result,
                               const struct sc_err *err)
{
    SC_AUTO(free) struct op_call *c = arg;
    SC_AUTO(free) void *data = NULL;
    size_t size;
    if (err->code) {
        op_fail(c, err);
        return;
    }
    struct json_reader r = json_read(result, "vm.console_log");
    const char *text = json_str(&r, "data", 0, 4 * CONSOLE_LOG_MAX);
    struct sc_err bad;
    if (json_done(&r, &bad) < 0 || json_b64_decode(text, &data, &size) < 0) {
        op_failf(c, -EPROTO, "vm.console_log: the node's answer is bad");
        return;
    }
    SC_AUTO(free) char *utf8 = to_utf8(data, size);
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "data", utf8 ? utf8 : "");
    op_reply(c, 0, j);
}

void op_vm_console_log(struct op_call *c)
{
    struct json_reader r = json_read(c->params, "vm.console_log");
    int64_t bytes =
        json_int_or(&r, "bytes", 1, CONSOLE_LOG_MAX, CONSOLE_LOG_BYTES);
    struct sc_err err;
    if (json_done(&r, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    const struct vm *v = op_vm(c);
    if (!v)
        return;
    uint16_t nid = v->nid ? v->nid : v->last_nid;
    struct op_call *later = malloc(sizeof *later);
    if (!nid || !later) {
        free(later);
        op_failf(c, nid ? -ENOMEM : -ENOTCONN, "vm '%s': %s", v->name,
                 nid ? "out of memory" : "has never run");
        return;
    }
    *later = *c;
    later->who = NULL;
    later->params = NULL;
    cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "vm_id", v->id);
    json_set_u64(p, "max_bytes", (uint64_t)bytes);
    c->ctl->env.call(c->ctl->env.ctx, nid, PROGRAM_NODE, "vm.console_log", p,
                     CONSOLE_LOG_TIMEOUT_MS, console_log_answer, later);
}

/* install - see install.h. */
#include "join/install.h"
#include "common/config.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static int files_fail(struct join_failure *f, const char *path)
{
    return join_fail(f, JOIN_FILES, "%s: %s", path, strerror(errno));
}

/* mkdir -p; a folder that is there keeps its mode. */
static int make_folders(const char *path, mode_t mode, struct join_failure *f)
{
    SC_AUTO(free) char *copy = strdup(path);
    if (!copy)
        return join_fail(f, JOIN_MACHINE, "out of memory");
    for (char *p = copy + 1;; p++) {
        if (*p && *p != '/')
            continue;
        bool last = !*p;
        *p = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return files_fail(f, copy);
        if (last)
            return 0;
        *p = '/';
    }
}

static int make_parent(const char *path, struct join_failure *f)
{
    SC_AUTO(free) char *copy = strdup(path);
    if (!copy)
        return join_fail(f, JOIN_MACHINE, "out of memory");
    char *slash = strrchr(copy, '/');
    if (!slash || slash == copy)
        return 0;
    *slash = '\0';
    return make_folders(copy, 0755, f);
}

/* A flat folder and what is in it. */
static void remove_folder(const char *path)
{
    DIR *d = opendir(path);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    rmdir(path);
}

static int sync_folder(const char *path)
{
    SC_AUTO(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -1 : 0;
}

static int sync_parent(const char *path)
{
    SC_AUTO(free) char *copy = strdup(path);
    char *slash = copy ? strrchr(copy, '/') : NULL;
    if (!slash)
        return 0;
    slash[slash == copy] = '\0';
    return sync_folder(copy);
}

int install_begin(struct install *i, const struct join_request *r,
                  struct join_failure *f)
{
    i->request = r;
    i->dir = NULL;
    if (make_folders(r->state_dir, 0755, f) < 0 ||
        make_parent(r->pki_dir, f) < 0 || make_parent(r->config_out, f) < 0)
        return -1;
    SC_AUTO(free) char *dir = NULL;
    if (asprintf(&dir, "%s.new.XXXXXX", r->pki_dir) < 0) {
        dir = NULL;
        return join_fail(f, JOIN_MACHINE, "out of memory");
    }
    if (!mkdtemp(dir))
        return files_fail(f, r->pki_dir);
    i->dir = SC_TAKE(dir);
    return 0;
}

char *install_path(const struct install *i, const char *name)
{
    return sc_path(i->dir, name);
}

int install_commit(struct install *i, const cJSON *config,
                   struct join_failure *f)
{
    const struct join_request *r = i->request;
    SC_AUTO(free) char *text = cJSON_Print(config);
    SC_AUTO(free) char *line = NULL;
    if (!text || asprintf(&line, "%s\n", text) < 0) {
        line = NULL;
        return join_fail(f, JOIN_MACHINE, "out of memory");
    }
    struct sc_err err;
    SC_AUTO(sc_config_free) struct sc_config *check = NULL;
    if (sc_config_parse(line, "the new configuration", &check, &err) < 0)
        return join_fail(f, JOIN_ANSWER, "%s", err.text);
    if (chmod(i->dir, 0755) < 0 || sync_folder(i->dir) < 0)
        return files_fail(f, i->dir);
    /* An older folder, of an attempt that crashed or of a controller without
     * its configuration, is exchanged and then removed. */
    int n = renameat2(AT_FDCWD, i->dir, AT_FDCWD, r->pki_dir, RENAME_NOREPLACE);
    bool exchanged = n < 0 && errno == EEXIST;
    if (exchanged)
        n = renameat2(AT_FDCWD, i->dir, AT_FDCWD, r->pki_dir, RENAME_EXCHANGE);
    if (n < 0 && (errno == EINVAL || errno == ENOSYS)) {
        /* A file system without renameat2's flags. */
        remove_folder(r->pki_dir);
        n = rename(i->dir, r->pki_dir);
        exchanged = false;
    }
    if (n < 0 || sync_parent(r->pki_dir) < 0)
        return files_fail(f, r->pki_dir);
    if (tls_write_file(r->config_out, line, 0640, &err) < 0) {
        if (exchanged) /* Back to what was. */
            renameat2(AT_FDCWD, i->dir, AT_FDCWD, r->pki_dir, RENAME_EXCHANGE);
        else
            remove_folder(r->pki_dir);
        return join_fail(f, JOIN_FILES, "%s", err.text);
    }
    if (exchanged)
        remove_folder(i->dir);
    free(SC_TAKE(i->dir));
    return 0;
}

void install_fini(struct install *i)
{
    if (!i->dir)
        return;
    remove_folder(i->dir);
    free(SC_TAKE(i->dir));
}

static void set_if(cJSON *o, const char *key, const char *value)
{
    if (value)
        cJSON_AddStringToObject(o, key, value);
}

cJSON *config_new(const struct join_request *r, const char *node_id,
                  uint16_t nid, bool controller_role, const char *name,
                  const char *region, const char *provider,
                  const char *controller_host, uint16_t controller_port,
                  const char *address, const char *hypervisor)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "node_id", node_id);
    cJSON_AddNumberToObject(o, "nid", nid);
    cJSON_AddStringToObject(o, "name", name);
    cJSON_AddStringToObject(o, "region", region);
    cJSON_AddStringToObject(o, "provider", provider);
    cJSON *roles = cJSON_AddArrayToObject(o, "roles");
    if (controller_role)
        cJSON_AddItemToArray(roles, cJSON_CreateString("controller"));
    cJSON_AddItemToArray(roles, cJSON_CreateString("node"));
    cJSON *c = cJSON_AddObjectToObject(o, "controller");
    cJSON_AddStringToObject(c, "host", controller_host);
    cJSON_AddNumberToObject(c, "port", controller_port);
    cJSON_AddStringToObject(o, "address", address);
    cJSON_AddStringToObject(o, "hypervisor", hypervisor);
    set_if(o, "datapath", r->datapath);
    set_if(o, "ovsdb", r->ovsdb);
    set_if(o, "metadata", r->metadata);
    cJSON_AddStringToObject(o, "run_dir", r->run_dir);
    cJSON_AddStringToObject(o, "state_dir", r->state_dir);
    cJSON_AddStringToObject(o, "pki_dir", r->pki_dir);
    if (r->reserved_mib)
        json_set_u64(o, "reserved_mib", r->reserved_mib);
    return o;
}

bool already_joined(const struct join_request *r, char ret_name[64],
                    uint16_t *ret_nid)
{
    SC_AUTO(sc_config_free) struct sc_config *c = NULL;
    if (sc_config_load(r->config_out, &c, NULL) < 0)
        return false;
    snprintf(ret_name, 64, "%s", c->name);
    *ret_nid = c->nid;
    return true;
}

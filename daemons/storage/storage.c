/* storage - see storage.h: the daemon's parts, its volumes, its tick. */
#include "storage/storage.h"

#include "common/json.h"
#include "common/log.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

/* --- the table of volumes ----------------------------------------------- */
struct volume *storage_find(struct storage *st, const char *id)
{
    uint8_t raw[BSTORE_ID];
    return volume_id_parse(id, raw) < 0 ? NULL : storage_find_raw(st, raw);
}

struct volume *storage_find_raw(struct storage *st, const uint8_t id[BSTORE_ID])
{
    for (size_t i = 0; i < st->n_volumes; i++)
        if (memcmp(st->volumes[i]->raw_id, id, BSTORE_ID) == 0)
            return st->volumes[i];
    return NULL;
}

static int add(struct storage *st, struct volume *v)
{
    struct volume **all =
        realloc(st->volumes, (st->n_volumes + 1) * sizeof(struct volume *));
    if (!all)
        return -ENOMEM;
    st->volumes = all;
    all[st->n_volumes++] = v;
    return 0;
}

static bool is_damaged(const struct storage *st, const char *id)
{
    uint8_t raw[BSTORE_ID];
    bool found = false;
    if (volume_id_parse(id, raw) < 0)
        return false;
    for (size_t i = 0; i < st->n_damaged && !found; i++)
        found = memcmp(st->damaged[i], raw, BSTORE_ID) == 0;
    return found;
}

static int add_damaged(struct storage *st, const struct volume *v)
{
    void *all = realloc(st->damaged, (st->n_damaged + 1) * sizeof *st->damaged);
    if (!all)
        return -ENOMEM;
    st->damaged = all;
    memcpy(st->damaged[st->n_damaged++], v->raw_id, BSTORE_ID);
    return 0;
}

int storage_get(struct storage *st, const char *id, struct volume **ret)
{
    struct volume *v = storage_find(st, id);
    if (!v && is_damaged(st, id))
        return -EUCLEAN;
    if (!v) {
        int r = volume_new(&st->env, id, &v);
        if (r == 0)
            r = add(st, v);
        if (r < 0)
            return r;
    }
    *ret = v;
    return 0;
}

void storage_drop(struct storage *st, struct volume *v)
{
    for (size_t i = 0; i < st->n_volumes; i++)
        if (st->volumes[i] == v) {
            st->volumes[i] = st->volumes[--st->n_volumes];
            break;
        }
    volume_free(v);
}

void storage_volume_dir(struct storage *st, const struct volume *v,
                        char ret[4096])
{
    snprintf(ret, 4096, "%s/%s", st->volumes_dir, v->id);
}

void storage_recent_path(struct storage *st, const struct volume *v,
                         char ret[4096])
{
    snprintf(ret, 4096, "%s/storage/%s.recent", st->config->run_dir, v->id);
}

bool storage_link_parent(struct storage *st, struct volume *v)
{
    const struct bstore_info *info = bstore_info(v->bs);
    if (!info->has_parent || v->parent)
        return true;
    struct volume *p = storage_find_raw(st, info->parent);
    /* Known, whole view, and its own parents there. */
    if (!p || p == v || !p->bs || p->view_seq == 0 ||
        !storage_link_parent(st, p))
        return false;
    v->parent = p;
    p->children++;
    return true;
}

/* --- start -------------------------------------------------------------- */
/* One folder of an earlier life.  What cannot be opened, for whatever reason,
 * stays untouched on disk, is counted, and is not made anew.  -ENOMEM. */
static int load(struct storage *st, const char *id)
{
    char dir[4096], recent[4096];
    struct volume *v;
    struct sc_err err = { 0 };
    if (!sc_uuid_ok(id))
        return 0;
    if (volume_new(&st->env, id, &v) < 0)
        return -ENOMEM;
    storage_volume_dir(st, v, dir);
    storage_recent_path(st, v, recent);
    int r = bstore_open(st->env.io, dir, recent, &v->bs, &err);
    if (r == 0 && memcmp(bstore_info(v->bs)->id, v->raw_id, BSTORE_ID) != 0)
        r = sc_fail(&err, -EUCLEAN, "%s: another volume's files", dir);
    if (r == 0 && volume_load_state(v) < 0)
        r = sc_fail(&err, -EUCLEAN, "%s: its state cannot be read", dir);
    if (r == 0)
        r = add(st, v);
    if (r == 0)
        return 0;
    int e = 0;
    if (r == -ENOENT) { /* Its making was cut short; it holds nothing. */
        bstore_remove(st->env.io, dir, recent);
    } else {
        e = add_damaged(st, v);
        sc_log(SC_LOG_ERROR, "volume.damaged", "volume", id, "error", err.text,
               NULL);
    }
    bstore_free(SC_TAKE(v->bs));
    v->state = VOL_NEW;
    volume_free(v);
    return e;
}

static int load_all(struct storage *st, struct sc_err *err)
{
    DIR *d = opendir(st->volumes_dir);
    if (!d)
        return sc_fail(err, -errno, "%s: %s", st->volumes_dir, strerror(errno));
    int r = 0;
    for (struct dirent *e = readdir(d); e && r == 0; e = readdir(d))
        if (e->d_name[0] != '.')
            r = load(st, e->d_name);
    closedir(d);
    if (r < 0)
        return sc_fail(err, r, "out of memory");
    for (size_t i = 0; i < st->n_volumes; i++)
        if (!storage_link_parent(st, st->volumes[i]))
            sc_log(SC_LOG_WARN, "volume.no_parent", "volume",
                   st->volumes[i]->id, NULL);
    return 0;
}

static int make_folders(struct storage *st, struct sc_err *err)
{
    const struct sc_config *c = st->config;
    char path[4096];
    snprintf(path, sizeof path, "%s/storage/volumes", c->state_dir);
    st->volumes_dir = strdup(path);
    if (!st->volumes_dir)
        return sc_fail(err, -ENOMEM, "out of memory");
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return sc_fail(err, -errno, "%s: %s", path, strerror(errno));
        *p = '/';
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return sc_fail(err, -errno, "%s: %s", path, strerror(errno));
    snprintf(path, sizeof path, "%s/storage", c->run_dir);
    if ((mkdir(c->run_dir, 0755) < 0 && errno != EEXIST) ||
        (mkdir(path, 0700) < 0 && errno != EEXIST))
        return sc_fail(err, -errno, "%s: %s", path, strerror(errno));
    return 0;
}

/* --- the tick ----------------------------------------------------------- */
static void send_stats(struct storage *st)
{
    struct rpc_conn *conn = storage_controller(st);
    if (!conn)
        return;
    cJSON *o = cJSON_CreateObject();
    cJSON *all = cJSON_AddArrayToObject(o, "volumes");
    uint64_t bytes = 0;
    for (size_t i = 0; i < st->n_volumes; i++) {
        const struct volume *v = st->volumes[i];
        if (!v->bs)
            continue;
        const struct block_map *m = bstore_map(v->bs);
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "volume_id", v->id);
        json_set_u64(one, "local_blocks", block_map_n_local(m));
        json_set_u64(one, "dirty_blocks", block_map_n_dirty(m));
        cJSON_AddItemToArray(all, one);
        bytes += (uint64_t)block_map_n_local(m) * BLOCK_SIZE;
    }
    json_set_u64(o, "bytes", bytes);
    json_set_u64(o, "wan_in", peers_wire_in(st->peers));
    json_set_u64(o, "wan_out", peers_wire_out(st->peers));
    (void)rpc_notify(conn, "storage.stats", o);
}

static void on_tick(void *arg)
{
    struct storage *st = arg;
    for (size_t i = 0; i < st->n_volumes; i++) {
        struct volume *v = st->volumes[i];
        if (!v->bs)
            continue;
        bstore_tick(v->bs);
        if (storage_controller(st))
            storage_tell_authority(st, v);
    }
    if (++st->ticks % STATS_TICKS == 0)
        send_stats(st);
}

/* --- what people ask ---------------------------------------------------- */
static cJSON *status(void *arg)
{
    struct storage *st = arg;
    unsigned open = 0, connections = 0;
    uint64_t dirty = 0, local = 0;
    for (size_t i = 0; i < st->n_volumes; i++) {
        const struct volume *v = st->volumes[i];
        open += volume_is_served(v);
        connections += v->connections;
        local += v->bs ? block_map_n_local(bstore_map(v->bs)) : 0;
        dirty += v->bs ? block_map_n_dirty(bstore_map(v->bs)) : 0;
    }
    cJSON *o = cJSON_CreateObject();
    json_set_u64(o, "nid", st->env.self);
    cJSON_AddBoolToObject(o, "controller", storage_controller(st) != NULL);
    json_set_u64(o, "volumes", st->n_volumes);
    json_set_u64(o, "open", open);
    json_set_u64(o, "damaged", st->n_damaged);
    json_set_u64(o, "nbd_connections", connections);
    json_set_u64(o, "local_blocks", local);
    json_set_u64(o, "dirty_blocks", dirty);
    json_set_u64(o, "wan_in", peers_wire_in(st->peers));
    json_set_u64(o, "wan_out", peers_wire_out(st->peers));
    return o;
}

static cJSON *dump(void *arg)
{
    struct storage *st = arg;
    cJSON *o = status(arg);
    cJSON *all = cJSON_AddArrayToObject(o, "volume_list");
    for (size_t i = 0; i < st->n_volumes; i++)
        cJSON_AddItemToArray(all, volume_dump(st->volumes[i]));
    struct fetch_counters f = fetcher_counters(st->fetcher);
    cJSON *fetch = cJSON_AddObjectToObject(o, "fetch");
    json_set_u64(fetch, "requests", f.requests);
    json_set_u64(fetch, "blocks", f.blocks);
    json_set_u64(fetch, "ahead", f.ahead);
    json_set_u64(fetch, "bytes_wire", f.bytes_wire);
    json_set_u64(fetch, "retries", f.retries);
    json_set_u64(fetch, "failures", f.failures);
    struct ring_counters r = ring_counters(st->ring);
    cJSON *ring = cJSON_AddObjectToObject(o, "ring");
    json_set_u64(ring, "enters", r.enters);
    json_set_u64(ring, "operations", r.ops);
    cJSON_AddItemToObject(o, "peers", peers_dump(st->peers));
    return o;
}

static struct volume *find_served(void *arg, const char *name)
{
    struct volume *v = storage_find(arg, name);
    return v && volume_is_served(v) ? v : NULL;
}

static void each_served(void *arg, void (*fn)(void *ctx, struct volume *v),
                        void *ctx)
{
    struct storage *st = arg;
    for (size_t i = 0; i < st->n_volumes; i++)
        if (volume_is_served(st->volumes[i]))
            fn(ctx, st->volumes[i]);
}

static void on_peer_up(void *arg, uint16_t nid)
{
    struct storage *st = arg;
    (void)nid;
    fetcher_kick(st->fetcher);
}

static int make_peers(struct storage *st, struct sc_err *err)
{
    const struct sc_config *c = st->config;
    SC_AUTO(free) char *ca = sc_path(c->pki_dir, "ca.crt");
    SC_AUTO(free) char *cert = sc_path(c->pki_dir, "node.crt");
    SC_AUTO(free) char *key = sc_path(c->pki_dir, "node.key");
    SC_AUTO(free) char *table = sc_path(c->state_dir, "storage/peers.json");
    if (!ca || !cert || !key || !table)
        return sc_fail(err, -ENOMEM, "out of memory");
    int r = tls_ctx_new(ca, cert, key, &st->tls, err);
    if (r < 0)
        return r;
    const struct peers_options o = { .port = c->storage_port,
                                     .tls = st->tls,
                                     .table_file = table };
    const struct peers_ops ops = { .arg = st,
                                   .fetch = storage_on_fetch,
                                   .handover = storage_on_handover,
                                   .prepared = storage_on_prepared,
                                   .up = on_peer_up };
    return peers_new(st->loop, &o, &ops, &st->peers, err);
}

static int make_nbd(struct storage *st, struct sc_err *err)
{
    SC_AUTO(free) char *path = sc_path(st->config->run_dir, "nbd.sock");
    const struct nbd_server_ops ops = { .arg = st,
                                        .find = find_served,
                                        .each = each_served };
    if (!path)
        return sc_fail(err, -ENOMEM, "out of memory");
    return nbd_server_new(st->ring, &st->env, path, &ops, &st->nbd, err);
}

int storage_new(struct sc_loop *loop, const struct sc_config *c,
                struct storage **ret, struct sc_err *err)
{
    SC_AUTO(storage_free) struct storage *st = calloc(1, sizeof *st);
    if (!st)
        return sc_fail(err, -ENOMEM, "out of memory");
    st->config = c;
    st->loop = loop;
    int r = ring_new(loop, &st->ring, err);
    if (r < 0)
        return r;
    st->pool = bufpool_new();
    if (!st->pool)
        return sc_fail(err, -ENOMEM, "out of memory");
    st->env = (struct vol_env){
        .loop = loop, .io = ring_io(st->ring), .pool = st->pool, .self = c->nid
    };
    r = make_folders(st, err);
    if (r == 0)
        r = load_all(st, err);
    if (r == 0)
        r = make_peers(st, err);
    if (r < 0)
        return r;
    r = fetcher_new(&st->env, st->peers, FETCH_TIMEOUT_MS, &st->fetcher);
    if (r < 0)
        return sc_fail(err, r, "out of memory");
    st->env.fetcher = st->fetcher;
    r = make_nbd(st, err);
    if (r == 0)
        r = sc_control_new(loop, c, "sc-storage", storage_local_service(st),
                           status, dump, st, &st->control, err);
    if (r == 0 &&
        sc_loop_add_timer(loop, TICK_MS, TICK_MS, on_tick, st, &st->tick) < 0)
        r = sc_fail(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = storage_connect(st, err);
    if (r < 0)
        return r;
    *ret = SC_TAKE(st);
    return 0;
}

struct last_commit {
    struct bs_wait wait;
    unsigned *left;
};

static void on_last(struct bs_wait *w, int res)
{
    (void)res; /* The next start recovers what could not be committed. */
    --*((struct last_commit *)w)->left;
}

void storage_stop(struct storage *st)
{
    unsigned left = 0;
    uint64_t end = sc_mono_ms() + STOP_MS;
    struct last_commit *all = calloc(st->n_volumes + 1, sizeof *all);
    if (!all)
        return;
    for (size_t i = 0; i < st->n_volumes; i++) {
        if (!st->volumes[i]->bs)
            continue;
        all[i] = (struct last_commit){ { .done = on_last }, &left };
        left++;
        bstore_commit(st->volumes[i]->bs, &all[i].wait);
    }
    while (left && sc_mono_ms() < end)
        ring_turn(st->ring, 100);
    if (!left)
        free(all); /* Else still waited for; the process ends. */
}

/* Called when the loop has ended: what is under way stays so; the disk has all
 * that was promised. */
void storage_free(struct storage *st)
{
    if (!st)
        return;
    sc_source_free(st->tick);
    rpc_client_free(st->client);
    sc_control_free(st->control);
    nbd_server_free(st->nbd);
    fetcher_free(st->fetcher);
    peers_free(st->peers);
    tls_ctx_free(st->tls);
    free(st->volumes); /* Theirs may still be used by the kernel. */
    ring_free(st->ring);
    bufpool_free(st->pool);
    free(st->volumes_dir);
    free(st->damaged);
    free(st);
}

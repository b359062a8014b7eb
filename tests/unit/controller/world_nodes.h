/* world_nodes - the nodes of world.h's world: what sc-node, sc-storage and
 * sc-network answer, step by step.
 *
 * Included by world.h alone, in its middle: it needs the types and messages
 * above, and the world's steps below need it. */
#ifndef SC_TEST_CONTROLLER_WORLD_NODES_H
#define SC_TEST_CONTROLLER_WORLD_NODES_H

/* --- the nodes
 * ------------------------------------------------------------------ */

static inline struct wvm *wnode_vm(struct wnode *n, const char *id)
{
    for (size_t i = 0; i < n->n_vms; i++) {
        if (!strcmp(n->vms[i].id, id))
            return &n->vms[i];
    }
    return NULL;
}

static inline void wnode_run(struct wnode *n, const char *id, uint32_t epoch)
{
    struct wvm *v = wnode_vm(n, id);
    if (!v) {
        cr_assert_lt(n->n_vms, (size_t)WORLD_VMS);
        v = &n->vms[n->n_vms++];
        OBJ_SET(v->id, id);
    }
    v->epoch = epoch;
    v->running = true;
}

static inline void wnode_forget(struct wnode *n, const char *id)
{
    struct wvm *v = wnode_vm(n, id);
    if (v)
        *v = n->vms[--n->n_vms];
}

static inline struct wmig *wnode_mig(struct wnode *n, const char *id, bool out)
{
    for (size_t i = 0; i < n->n_migs; i++) {
        if (!strcmp(n->migs[i].id, id) && n->migs[i].out == out)
            return &n->migs[i];
    }
    return NULL;
}

static inline struct wmig *wnode_mig_new(struct wnode *n, const char *id,
                                         const char *vm, bool out)
{
    cr_assert_lt(n->n_migs, (size_t)WORLD_MIGS);
    struct wmig *m = &n->migs[n->n_migs++];
    *m = (struct wmig){ .out = out };
    OBJ_SET(m->id, id);
    OBJ_SET(m->vm, vm);
    return m;
}

static inline void mig_to(struct wmig *m, enum migrate_side side)
{
    m->side = side;
    m->age = 0;
}

static inline const char *wstr(const cJSON *j, const char *key)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItem(j, key));
    return s ? s : "";
}

static inline uint32_t wnum(const cJSON *j, const char *key)
{
    const cJSON *n = cJSON_GetObjectItem(j, key);
    return cJSON_IsNumber(n) ? (uint32_t)n->valuedouble : 0;
}

static inline cJSON *wstate(const char *state)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "state", state);
    return j;
}

static inline void src_done(struct world *w, struct wmig *m, int code,
                            const char *text)
{
    SC_AUTO(free) struct wevent *call = SC_TAKE(m->call);
    if (!call)
        return;
    cJSON *j = cJSON_CreateObject();
    json_set_u64(j, "total_ms", 1234);
    json_set_u64(j, "pause_ms", 56);
    json_set_u64(j, "rounds", 3);
    json_set_u64(j, "bytes_sent", 1000000);
    json_set_u64(j, "bytes_wire", 500000);
    world_answer(w, call, j, code, text);
}

static inline void dst_handle(struct world *w, struct wnode *n,
                              struct wevent *e)
{
    const char *id = wstr(e->json, "migration_id");
    struct wmig *m = wnode_mig(n, id, false);
    if (!strcmp(e->method, "vm.prepare_in")) {
        const cJSON *vm = cJSON_GetObjectItem(e->json, "vm");
        if (m && m->side == SIDE_CANCELLED) {
            world_answer(w, e, NULL, -ECANCELED, "was cancelled");
            return;
        }
        if (!m)
            m = wnode_mig_new(n, id, wstr(vm, "id"), false);
        m->epoch = wnum(vm, "epoch");
        m->other = (uint16_t)wnum(cJSON_GetObjectItem(e->json, "from"), "nid");
        mig_to(m, SIDE_PREPARING);
        cJSON *j = cJSON_CreateObject();
        json_set_u64(j, "port", 7482);
        cJSON_AddStringToObject(j, "ticket", "t");
        world_answer(w, e, j, 0, NULL);
    } else { /* vm.migrate_cancel */
        if (!m)
            m = wnode_mig_new(n, id, wstr(e->json, "vm_id"), false);
        if (m->side != SIDE_RUNNING)
            mig_to(m, SIDE_CANCELLED);
        world_answer(w, e, wstate(migrate_side_name(m->side)), 0, NULL);
    }
}

static inline void src_handle(struct world *w, struct wnode *n,
                              struct wevent *e)
{
    const char *id = wstr(e->json, "migration_id");
    const char *vm = wstr(e->json, "vm_id");
    struct wmig *m = wnode_mig(n, id, true);
    if (!strcmp(e->method, "vm.migrate_out")) {
        struct wvm *v = wnode_vm(n, vm);
        if (!v || !v->running) {
            world_answer(w, e, NULL, -ENOENT, "does not run here");
            return;
        }
        if (m) {
            world_answer(w, e, NULL, -EALREADY, "is under way");
            return;
        }
        m = wnode_mig_new(n, id, vm, true);
        m->epoch = wnum(e->json, "epoch");
        m->other = (uint16_t)wnum(cJSON_GetObjectItem(e->json, "to"), "nid");
        mig_to(m, SIDE_SENDING);
        struct wevent *call = malloc(sizeof *call);
        *call = *e;
        m->call = call;
    } else { /* vm.migrate_resolve */
        bool resume = !strcmp(wstr(e->json, "outcome"), "resume");
        struct wvm *v = wnode_vm(n, vm);
        if (m && m->side == SIDE_UNCERTAIN && resume) {
            mig_to(m, SIDE_RESUMED);
            if (v)
                v->running = true;
        } else if (m && !resume) {
            mig_to(m, SIDE_RELEASED);
            wnode_forget(n, vm);
        }
        world_answer(w, e, NULL, m ? 0 : -ENOENT, "no such migration");
    }
}

static inline void query_handle(struct world *w, struct wnode *n,
                                struct wevent *e)
{
    const char *id = wstr(e->json, "migration_id");
    struct wmig *out = wnode_mig(n, id, true), *in = wnode_mig(n, id, false);
    struct wmig *m = out ? out : in;
    world_answer(w, e, wstate(m ? migrate_side_name(m->side) : "unknown"), 0,
                 NULL);
}

static inline void vm_handle(struct world *w, struct wnode *n, struct wevent *e)
{
    if (!strcmp(e->method, "vm.start")) {
        const cJSON *vm = cJSON_GetObjectItem(e->json, "vm");
        int fail = n->fail_start;
        n->fail_start = 0;
        if (fail) {
            world_answer(w, e, NULL, fail, "the kernel does not boot");
            return;
        }
        const struct wvm *here = wnode_vm(n, wstr(vm, "id"));
        if (here && here->epoch != wnum(vm, "epoch")) {
            world_answer(w, e, NULL, -EEXIST, "is here already");
            return;
        }
        wnode_run(n, wstr(vm, "id"), wnum(vm, "epoch"));
    } else { /* vm.stop */
        struct wvm *v = wnode_vm(n, wstr(e->json, "vm_id"));
        if (v && v->epoch == wnum(e->json, "epoch"))
            wnode_forget(n, v->id);
    }
    world_answer(w, e, NULL, 0, NULL);
}

static inline void world_request(struct world *w, struct wevent *e)
{
    struct wnode *n = &w->nodes[e->nid];
    if (e->program == PROGRAM_NETWORK) {
        if (w->now < w->switches_at) {
            world_answer(w, e, NULL, -EHOSTUNREACH, "the switch is away");
            return;
        }
        world_answer(w, e, NULL, 0, NULL);
    } else if (!n->alive || !n->connected || e->connect != n->connect) {
        world_answer(w, e, NULL, -ECONNRESET, "connection lost");
    } else if (e->program == PROGRAM_STORAGE) {
        if (!strcmp(e->method, "volume.delete") && n->n_deleted < 8)
            OBJ_SET(n->volumes_deleted[n->n_deleted++],
                    wstr(e->json, "volume_id"));
        world_answer(w, e, NULL, 0, NULL);
    } else if (!strcmp(e->method, "vm.migrate_query")) {
        query_handle(w, n, e);
    } else if (!strcmp(e->method, "vm.prepare_in") ||
               !strcmp(e->method, "vm.migrate_cancel")) {
        dst_handle(w, n, e);
    } else if (!strcmp(e->method, "vm.migrate_out") ||
               !strcmp(e->method, "vm.migrate_resolve")) {
        src_handle(w, n, e);
    } else {
        vm_handle(w, n, e);
    }
}

static inline bool linked(struct world *w, uint16_t a, uint16_t b)
{
    return w->nodes[a].alive && w->nodes[b].alive && !w->cut[a][b];
}

/* The transfer, as sc-node does it: pre-copy, stop, COMMIT, RUNNING. */
enum { PRECOPY_STEPS = 20, STOPPED_STEPS = 2, COMMIT_STEPS = 2 };

static inline void src_step(struct world *w, struct wnode *n, struct wmig *m)
{
    struct wnode *dst = &w->nodes[m->other];
    struct wmig *in = wnode_mig(dst, m->id, false);
    struct wvm *v = wnode_vm(n, m->vm);
    bool link = linked(w, n->nid, m->other);
    m->age++;
    if (m->side == SIDE_SENDING) {
        bool listens = link && in &&
                       (in->side == SIDE_PREPARING ||
                        in->side == SIDE_RECEIVING || in->side == SIDE_READY);
        if (!listens) {
            mig_to(m, SIDE_RESUMED);
            if (v)
                v->running = true;
            src_done(w, m, -ECONNRESET, "the link to the destination broke");
            return;
        }
        if (m->age == 1)
            mig_to(in, SIDE_RECEIVING);
        if (m->age == PRECOPY_STEPS && v)
            v->running = false;
        if (m->age == PRECOPY_STEPS + STOPPED_STEPS) {
            mig_to(in, SIDE_READY);
            mig_to(m, SIDE_UNCERTAIN); /* "Given away", then COMMIT. */
        }
    } else if (m->side == SIDE_UNCERTAIN) {
        if (m->age == COMMIT_STEPS && link && in && in->side == SIDE_READY) {
            mig_to(in, SIDE_RUNNING);
            wnode_run(dst, m->vm, m->epoch);
        } else if (m->age > COMMIT_STEPS && link && in &&
                   in->side == SIDE_RUNNING) {
            mig_to(m, SIDE_RELEASED);
            wnode_forget(n, m->vm);
            src_done(w, m, 0, NULL);
        } else if (m->age >= COMMIT_STEPS) {
            src_done(w, m, -ETIMEDOUT, "the destination does not answer");
        }
    }
}

static inline void world_heartbeat(struct world *w, struct wnode *n)
{
    cJSON *p = cJSON_CreateObject();
    uint64_t used = 0;
    cJSON *vms = cJSON_AddArrayToObject(p, "vms");
    for (size_t i = 0; i < n->n_vms; i++) {
        cJSON *v = cJSON_CreateObject();
        cJSON_AddStringToObject(v, "vm_id", n->vms[i].id);
        json_set_u64(v, "epoch", n->vms[i].epoch);
        cJSON_AddStringToObject(v, "state",
                                n->vms[i].running ? "running" : "migrating");
        cJSON_AddItemToArray(vms, v);
        const struct vm *known = ctl_vm_find(w->ctl, n->vms[i].id);
        used += known ? known->memory_mib : 0;
    }
    json_set_u64(p, "memory_free_mib",
                 n->memory_mib > used ? n->memory_mib - used : 0);
    cJSON_AddNumberToObject(p, "load", 0.5);
    cJSON *rtt = cJSON_AddArrayToObject(p, "rtt");
    for (uint16_t i = 1; i <= WORLD_NODES; i++) {
        if (i == n->nid || !linked(w, n->nid, i))
            continue;
        cJSON *o = cJSON_CreateObject();
        json_set_u64(o, "nid", i);
        cJSON_AddNumberToObject(o, "rtt_ms", 10.0 * (n->nid + i));
        cJSON_AddItemToArray(rtt, o);
    }
    ctl_heartbeat(w->ctl, n->nid, p);
    cJSON_Delete(p);
}

static inline void world_disconnect(struct world *w, struct wnode *n)
{
    if (!n->connected)
        return;
    n->connected = false;
    n->connect++;
    n->hello_at = w->now + 300;
    for (size_t i = 0; i < n->n_migs; i++) {
        struct wevent *call = n->migs[i].call;
        if (call) /* Its answer finds no connection: the caller hears so. */
            src_done(w, &n->migs[i], -ECONNRESET, "connection lost");
    }
    for (size_t i = 0; i < w->n_events; i++) {
        struct wevent *e = &w->events[i];
        if (e->nid == n->nid && e->program != PROGRAM_NETWORK && e->answer) {
            cJSON_Delete(SC_TAKE(e->json));
            e->err.code = -ECONNRESET;
            snprintf(e->err.text, sizeof e->err.text, "connection lost");
        }
    }
    if (w->ctl && !w->crashed) {
        ctl_gone(w->ctl, n->nid, PROGRAM_NODE);
        ctl_gone(w->ctl, n->nid, PROGRAM_STORAGE);
    }
}

static inline void world_hello(struct world *w, struct wnode *n)
{
    SC_AUTO(cjson_free) cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "hypervisor", "fake");
    json_set_u64(p, "cpus", 2);
    json_set_u64(p, "memory_mib", n->memory_mib);
    json_set_u64(p, "memory_free_mib", n->memory_mib);
    for (int i = PROGRAM_NODE; i <= PROGRAM_STORAGE; i++) {
        uint16_t nid;
        cJSON *answer = NULL;
        struct sc_err err;
        if (ctl_hello(w->ctl, (enum ctl_program)i, n->id, p, &nid, &answer,
                      &err) < 0)
            return;
        cJSON_Delete(answer);
        n->connected = true;
        ctl_welcome(w->ctl, nid, (enum ctl_program)i);
    }
    n->heartbeat_at = w->now;
}

#endif

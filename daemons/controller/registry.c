/* Nodes: who is there, who is up, what runs where, how far they are apart.
 *
 * A node is up while sc-node's heartbeats come; a lost connection alone means
 * little, for daemons reconnect by themselves.  What a heartbeat says about a
 * VM is the truth about that (VM, epoch) at that node, and corrects ours. */
#include "common/log.h"
#include "controller/ctl.h"
#include "controller/jobs.h"
#include "controller/sessions.h"

#include <arpa/inet.h>
#include <inttypes.h>

enum {
    MISSED_HEARTBEATS_GONE = 2, /* VM not named in them: it is gone. */
    RTT_MAX_MS = 60000,
    LATENCY_TELL_MS = 2000,
};

bool ctl_connected(struct ctl *ctl, uint16_t nid, enum ctl_program program)
{
    if (program == PROGRAM_NETWORK)
        return ctl->network_connected;
    const struct ctl_node *n = ctl_node_by_nid(ctl, nid);
    return n && n->connected[program];
}

struct ctl_node *ctl_node_add(struct ctl *ctl, struct ctl_txn *x,
                              const struct node *node)
{
    struct ctl_node *n = calloc(1, sizeof *n);
    struct sc_err err;
    if (!n || !ctl_list_add(&ctl->nodes, n)) {
        free(n);
        ctl_txn_fail(x, sc_fail(&err, -ENOMEM, "node: out of memory"), &err);
        return NULL;
    }
    n->n = *node;
    n->heard_at = ctl_now(ctl);
    ctl_put_node(x, &n->n);
    ctl->peers_changed = true;
    return n;
}

int ctl_node_own(struct ctl *ctl, const struct node *own, struct sc_err *err)
{
    struct ctl_txn *x = ctl_txn_begin(ctl);
    struct ctl_node *n = ctl_node_by_nid(ctl, own->nid);
    if (n && strcmp(n->n.id, own->id) != 0) {
        ctl_txn_fail(x,
                     sc_fail(err, -EEXIST,
                             "nid %u belongs to node '%s' (%s), not to %s",
                             own->nid, n->n.name, n->n.id, own->id),
                     err);
        return ctl_txn_commit(x, err);
    }
    if (n) {
        OBJ_SET(n->n.name, own->name);
        OBJ_SET(n->n.region, own->region);
        OBJ_SET(n->n.provider, own->provider);
        OBJ_SET(n->n.address, own->address);
        n->n.storage_port = own->storage_port;
        n->n.probe_port = own->probe_port;
        n->n.migration_port = own->migration_port;
        ctl_put_node(x, &n->n);
    } else {
        ctl_node_add(ctl, x, own);
    }
    if (ctl->next_nid <= own->nid)
        ctl->next_nid = own->nid + 1u;
    ctl_put_number(x, "next_nid", ctl->next_nid);
    return ctl_txn_commit(x, err);
}

static void latencies_forget(struct ctl *ctl, uint16_t nid);

int ctl_node_remove(struct ctl *ctl, struct ctl_node *n, struct sc_err *err)
{
    for (size_t i = 0; i < ctl->vms.n; i++) {
        const struct vm *v = ctl->vms.items[i];
        if (v->nid == n->n.nid)
            return sc_fail(err, -EBUSY, "node '%s': vm '%s' is on it",
                           n->n.name, v->name);
    }
    if (n->n.state == NODE_UP)
        return sc_fail(err, -EBUSY, "node '%s': is up", n->n.name);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    cJSON *gone = cJSON_CreateObject();
    cJSON_AddStringToObject(gone, "id", n->n.id);
    ctl_list_remove(&ctl->nodes, n);
    ctl_errand_forget_node(ctl, x, n->n.nid);
    latencies_forget(ctl, n->n.nid);
    ctl_del(x, "nodes", n->n.id, "node");
    ctl_del(x, "node_facts", n->n.id, NULL);
    ctl->peers_changed = true;
    ctl_node_free(n);
    int r = ctl_txn_commit(x, err);
    if (r == 0)
        ctl->env.notify(ctl->env.ctx, 0, PROGRAM_NETWORK, "net.node_del", gone);
    else
        cJSON_Delete(gone);
    return r;
}

/* --- hello -----------------------------------------------------------------
 */

static void read_ports(struct json_reader *r, struct node *n)
{
    const cJSON *ports = cJSON_GetObjectItemCaseSensitive(r->object, "ports");
    if (!ports)
        return;
    struct json_reader p = json_read(ports, "hello: ports");
    n->storage_port =
        (uint16_t)json_int_or(&p, "storage", 1, UINT16_MAX, n->storage_port);
    n->probe_port =
        (uint16_t)json_int_or(&p, "probe", 1, UINT16_MAX, n->probe_port);
    n->migration_port = (uint16_t)json_int_or(&p, "migration", 1, UINT16_MAX,
                                              n->migration_port);
    if (p.err.code && !r->err.code)
        r->err = p.err;
}

static bool is_address(const char *s)
{
    uint8_t bin[16];
    return inet_pton(AF_INET, s, bin) == 1 || inet_pton(AF_INET6, s, bin) == 1;
}

static int read_hello(const cJSON *params, enum ctl_program program,
                      struct node *n, struct sc_err *err)
{
    struct json_reader r = json_read(params, "hello");
    const char *address = json_str_or(&r, "address", OBJ_ADDRESS - 1, "");
    const char *version = json_str_or(&r, "version", OBJ_NAME - 1, "");
    /* Every other node will be told to send to it. */
    if (address[0] && !is_address(address))
        return sc_fail(err, -EINVAL,
                       "hello: 'address' '%.64s': is not an IP address",
                       address);
    if (address[0])
        OBJ_SET(n->address, address);
    if (version[0])
        OBJ_SET(n->version, version);
    read_ports(&r, n);
    if (program == PROGRAM_NODE) {
        const cJSON *boot = cJSON_GetObjectItemCaseSensitive(params, "boot");
        struct json_reader b = json_read(boot, "hello: boot");
        OBJ_SET(n->hypervisor, json_str_or(&r, "hypervisor", 31, ""));
        n->cpus = (uint32_t)json_int_or(&r, "cpus", 0, 1 << 16, 0);
        n->memory_mib =
            (uint64_t)json_int_or(&r, "memory_mib", 0, INT64_C(1) << 40, 0);
        n->memory_free_mib = (uint64_t)json_int_or(&r, "memory_free_mib", 0,
                                                   INT64_C(1) << 40, 0);
        if (boot && !cJSON_IsNull(boot)) {
            OBJ_SET(n->boot_mode, json_str_or(&b, "mode", 15, ""));
            OBJ_SET(n->boot_reason,
                    json_str_or(&b, "reason", OBJ_TEXT - 1, ""));
            int e = json_done(&b, err);
            if (e < 0)
                return e;
        }
    }
    return json_done(&r, err);
}

static void node_up(struct ctl *ctl, struct ctl_node *n)
{
    n->heard_at = ctl_now(ctl);
    n->n.last_seen_at = n->heard_at;
    if (n->n.state == NODE_UP)
        return;
    n->n.state = NODE_UP;
    ctl->peers_changed = true;
    sc_log(SC_LOG_INFO, "node.up", "node", n->n.name, NULL);
}

int ctl_hello(struct ctl *ctl, enum ctl_program program, const char *node_id,
              const cJSON *params, uint16_t *ret_nid, cJSON **ret,
              struct sc_err *err)
{
    uint16_t nid = 0;
    if (program != PROGRAM_NETWORK) {
        struct ctl_node *n = NULL;
        for (size_t i = 0; i < ctl->nodes.n && !n; i++) {
            if (!strcmp(ctl->nodes.items[i]->n.id, node_id))
                n = ctl->nodes.items[i];
        }
        if (!n)
            return sc_fail(err, -ENOENT,
                           "node '%.40s': not (or no longer) of this "
                           "Supercloud",
                           node_id);
        struct node changed = n->n;
        int r = read_hello(params, program, &changed, err);
        if (r < 0)
            return r;
        if (strcmp(changed.address, n->n.address) != 0)
            ctl->peers_changed = true;
        n->n = changed;
        nid = n->n.nid;
        if (program == PROGRAM_NODE)
            node_up(ctl, n);
        n->connected[program] = true;
        struct ctl_txn *x = ctl_txn_begin(ctl);
        ctl_put_node(x, &n->n);
        r = ctl_txn_commit(x, err);
        if (r < 0)
            return r;
        if (program == PROGRAM_NODE)
            ctl_node_probes_hello(ctl, n, params);
    } else {
        ctl->network_connected = true;
    }
    sc_log(SC_LOG_INFO, "hello", "program", ctl_program_names[program], "node",
           node_id, NULL);
    cJSON *j = cJSON_CreateObject();
    json_set_u64(j, "nid", nid);
    json_set_u64(j, "time_ms", ctl_now(ctl));
    json_set_u64(j, "heartbeat_ms", ctl->heartbeat_ms);
    *ret_nid = nid;
    *ret = j;
    return 0;
}

static cJSON *peers_json(struct ctl *ctl, uint16_t self)
{
    cJSON *j = cJSON_CreateObject();
    json_set_u64(j, "self", self);
    cJSON *peers = cJSON_AddArrayToObject(j, "peers");
    for (size_t i = 0; i < ctl->nodes.n; i++) {
        const struct ctl_node *n = ctl->nodes.items[i];
        cJSON *p = cJSON_CreateObject();
        cJSON_AddStringToObject(p, "node_id", n->n.id);
        json_set_u64(p, "nid", n->n.nid);
        cJSON_AddStringToObject(p, "name", n->n.name);
        cJSON_AddStringToObject(p, "region", n->n.region);
        cJSON_AddStringToObject(p, "address", n->n.address);
        cJSON_AddBoolToObject(p, "up", n->n.state == NODE_UP);
        cJSON *ports = cJSON_AddObjectToObject(p, "ports");
        json_set_u64(ports, "storage", n->n.storage_port);
        json_set_u64(ports, "probe", n->n.probe_port);
        json_set_u64(ports, "migration", n->n.migration_port);
        cJSON_AddItemToArray(peers, p);
    }
    return j;
}

static void tell_peers(struct ctl *ctl)
{
    ctl->peers_changed = false;
    for (size_t i = 0; i < ctl->nodes.n; i++) {
        const struct ctl_node *n = ctl->nodes.items[i];
        for (int p = PROGRAM_NODE; p <= PROGRAM_STORAGE; p++) {
            if (n->connected[p])
                ctl->env.notify(ctl->env.ctx, n->n.nid, (enum ctl_program)p,
                                "peers", peers_json(ctl, n->n.nid));
        }
        ctl->env.notify(ctl->env.ctx, 0, PROGRAM_NETWORK, "net.node_set",
                        ctl_net_node_json(n));
    }
}

void ctl_welcome(struct ctl *ctl, uint16_t nid, enum ctl_program program)
{
    if (program == PROGRAM_NETWORK)
        ctl_net_tell_state(ctl);
    else
        ctl->env.notify(ctl->env.ctx, nid, program, "peers",
                        peers_json(ctl, nid));
    for (size_t i = 0; i < ctl->errands.n; i++) {
        if (ctl->errands.items[i]->nid == nid)
            ctl->errands.items[i]->retry_at = 0;
    }
}

void ctl_gone(struct ctl *ctl, uint16_t nid, enum ctl_program program)
{
    if (program == PROGRAM_NETWORK) {
        ctl->network_connected = false;
        return;
    }
    struct ctl_node *n = ctl_node_by_nid(ctl, nid);
    if (!n)
        return;
    n->connected[program] = false;
    sc_log(SC_LOG_INFO, "program.gone", "program", ctl_program_names[program],
           "node", n->n.name, NULL);
    if (program == PROGRAM_NODE)
        ctl_sessions_close_node(ctl, nid);
    ctl_announce_node(ctl, n);
}

/* --- what runs where --------------------------------------------------------
 */

static void vm_is_off(struct ctl *ctl, struct vm *v, enum vm_state state,
                      const char *reason)
{
    vm_move(v, state);
    v->last_nid = v->nid ? v->nid : v->last_nid;
    v->nid = 0;
    OBJ_SET(v->error, reason);
    sc_log(SC_LOG_WARN, "vm.off", "vm", v->name, "state", vm_state_name(state),
           "reason", reason, NULL);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_put_vm(x, v);
    if (ctl_txn_commit(x, NULL) == 0)
        ctl_net_tell_ports(ctl, v);
}

static void fence(struct ctl *ctl, const struct vm *v, uint16_t nid,
                  uint32_t epoch)
{
    for (size_t i = 0; i < ctl->errands.n; i++) {
        const struct ctl_errand *t = ctl->errands.items[i];
        const cJSON *id = cJSON_GetObjectItem(t->params, "vm_id");
        if (t->nid == nid && !strcmp(t->method, "vm.stop") &&
            cJSON_IsString(id) && !strcmp(id->valuestring, v->id))
            return; /* On its way. */
    }
    sc_logf(SC_LOG_ERROR, "vm.stale",
            "vm '%s' epoch %" PRIu32
            " is alive at node %u, but its epoch is %" PRIu32
            " at node %u; ending the old one",
            v->name, epoch, nid, v->epoch, v->nid);
    cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "vm_id", v->id);
    json_set_u64(p, "epoch", epoch);
    json_set_u64(p, "grace_ms", 0);
    cJSON_AddBoolToObject(p, "destroy", true);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_errand_add(ctl, x, nid, PROGRAM_NODE, "vm.stop", p);
    ctl_txn_commit(x, NULL);
}

/* One VM as node 'nid' reports it. */
static void vm_reported(struct ctl *ctl, struct vm *v, uint16_t nid,
                        uint32_t epoch, const char *state, const char *reason)
{
    bool runs = !strcmp(state, "running");
    if (v->nid == nid && v->epoch == epoch)
        v->missed = 0;
    if (v->job[0]) {
        if (runs)
            vm_migrate_seen(ctl, v, nid, epoch);
        return; /* Its job knows better what comes next. */
    }
    if (v->nid != nid || v->epoch != epoch) {
        if (runs && epoch < v->epoch)
            fence(ctl, v, nid, epoch);
        return;
    }
    if (runs && v->state != VM_RUNNING && vm_state_may(v->state, VM_RUNNING)) {
        vm_move(v, VM_RUNNING);
        struct ctl_txn *x = ctl_txn_begin(ctl);
        ctl_put_vm(x, v);
        ctl_txn_commit(x, NULL);
        return;
    }
    bool stopped = !strcmp(state, "stopped");
    bool failed = !strcmp(state, "failed") || !strcmp(state, "crashed");
    if ((stopped && vm_state_may(v->state, VM_STOPPED)) ||
        (failed && vm_state_may(v->state, VM_FAILED)))
        vm_is_off(ctl, v, stopped ? VM_STOPPED : VM_FAILED, reason);
}

struct vm_report {
    const char *id, *state, *reason;
    uint32_t epoch;
};

static bool read_report(const cJSON *j, struct vm_report *ret)
{
    struct json_reader r = json_read(j, "vm report");
    ret->id = json_str(&r, "vm_id", 1, SC_UUID_LEN);
    ret->epoch = (uint32_t)json_int(&r, "epoch", 0, UINT32_MAX);
    ret->state = json_str(&r, "state", 1, 32);
    ret->reason = json_str_or(&r, "reason", 4096, "");
    struct sc_err err;
    if (json_done(&r, &err) == 0)
        return true;
    sc_logf(SC_LOG_WARN, "heartbeat.bad", "%s", err.text);
    return false;
}

void ctl_vm_state(struct ctl *ctl, uint16_t nid, const cJSON *params)
{
    struct vm_report report;
    if (!read_report(params, &report))
        return;
    struct vm *v = ctl_vm_find(ctl, report.id);
    if (v)
        vm_reported(ctl, v, nid, report.epoch, report.state, report.reason);
}

static bool is_named(const cJSON *vms, const struct vm *v)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, vms)
    {
        const cJSON *id = cJSON_GetObjectItemCaseSensitive(item, "vm_id");
        const cJSON *epoch = cJSON_GetObjectItemCaseSensitive(item, "epoch");
        if (cJSON_IsString(id) && !strcmp(id->valuestring, v->id) &&
            cJSON_IsNumber(epoch) && epoch->valuedouble == v->epoch)
            return true;
    }
    return false;
}

static void find_missing(struct ctl *ctl, uint16_t nid, const cJSON *vms)
{
    for (size_t i = 0; i < ctl->vms.n; i++) {
        struct vm *v = ctl->vms.items[i];
        if (v->nid != nid || v->job[0] || is_named(vms, v) ||
            !vm_state_may(v->state, VM_FAILED))
            continue;
        if (++v->missed >= MISSED_HEARTBEATS_GONE)
            vm_is_off(ctl, v, VM_FAILED, "its node no longer runs it");
    }
}

/* --- latencies: sorted by (a, b), for there are as many as pairs of nodes ---
 */

/* Index of the first that is not before (a, b). */
static size_t latency_index(const struct ctl *ctl, uint16_t a, uint16_t b)
{
    uint32_t key = (uint32_t)a << 16 | b;
    size_t low = 0, high = ctl->latencies.n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct ctl_latency *l = ctl->latencies.items[mid];
        if (((uint32_t)l->a << 16 | l->b) < key)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct ctl_latency *latency_find(const struct ctl *ctl, uint16_t a,
                                        uint16_t b)
{
    size_t i = latency_index(ctl, a, b);
    struct ctl_latency *l =
        i < ctl->latencies.n ? ctl->latencies.items[i] : NULL;
    return l && l->a == a && l->b == b ? l : NULL;
}

/* NULL: out of memory. */
static struct ctl_latency *latency_add(struct ctl *ctl, uint16_t a, uint16_t b)
{
    size_t at = latency_index(ctl, a, b);
    struct ctl_latency *l = calloc(1, sizeof *l);
    if (!l || !ctl_list_add(&ctl->latencies, l)) {
        free(l);
        return NULL;
    }
    l->a = a;
    l->b = b;
    for (size_t i = ctl->latencies.n - 1; i > at; i--)
        ctl->latencies.items[i] = ctl->latencies.items[i - 1];
    ctl->latencies.items[at] = l;
    return l;
}

static void latencies_forget(struct ctl *ctl, uint16_t nid)
{
    size_t n = 0;
    for (size_t i = 0; i < ctl->latencies.n; i++) {
        struct ctl_latency *l = ctl->latencies.items[i];
        if (l->a == nid || l->b == nid)
            free(l);
        else
            ctl->latencies.items[n++] = l;
    }
    ctl->latencies.n = n;
}

static void read_rtt(struct ctl *ctl, uint16_t nid, const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        struct json_reader r = json_read(item, "rtt");
        uint16_t to = (uint16_t)json_int(&r, "nid", 1, UINT16_MAX);
        const cJSON *rtt = cJSON_GetObjectItemCaseSensitive(item, "rtt_ms");
        if (json_done(&r, NULL) < 0 || to == nid || !cJSON_IsNumber(rtt) ||
            !(rtt->valuedouble >= 0 && rtt->valuedouble <= RTT_MAX_MS) ||
            !ctl_node_by_nid(ctl, to))
            continue;
        struct ctl_latency *l = latency_find(ctl, nid, to);
        if (!l)
            l = latency_add(ctl, nid, to);
        if (!l)
            return;
        l->rtt_ms = rtt->valuedouble;
        l->at = ctl->latency_changed_at = ctl_now(ctl);
    }
}

void ctl_heartbeat(struct ctl *ctl, uint16_t nid, const cJSON *params)
{
    struct ctl_node *n = ctl_node_by_nid(ctl, nid);
    struct json_reader r = json_read(params, "node.heartbeat");
    int64_t free_mib = json_int(&r, "memory_free_mib", 0, INT64_C(1) << 40);
    const cJSON *vms = json_arr(&r, "vms");
    struct sc_err err;
    if (!n)
        return;
    if (json_done(&r, &err) < 0) {
        sc_logf(SC_LOG_WARN, "heartbeat.bad", "node '%s': %s", n->n.name,
                err.text);
        return;
    }
    bool was_up = n->n.state == NODE_UP;
    bool changed = !was_up || n->n.memory_free_mib != (uint64_t)free_mib;
    n->n.memory_free_mib = (uint64_t)free_mib;
    node_up(ctl, n);
    if (!was_up) {
        struct ctl_txn *x = ctl_txn_begin(ctl);
        ctl_put_node(x, &n->n);
        ctl_txn_commit(x, NULL);
    } else if (changed) {
        ctl_announce_node(ctl, n);
    }
    const cJSON *item;
    cJSON_ArrayForEach(item, vms)
    {
        struct vm_report report;
        if (!read_report(item, &report))
            continue;
        struct vm *v = ctl_vm_find(ctl, report.id);
        if (v)
            vm_reported(ctl, v, nid, report.epoch, report.state, report.reason);
    }
    find_missing(ctl, nid, vms);
    read_rtt(ctl, nid, cJSON_GetObjectItemCaseSensitive(params, "rtt"));
}

void ctl_vm_progress(struct ctl *ctl, uint16_t nid, const cJSON *params)
{
    struct json_reader r = json_read(params, "vm.progress");
    const char *id = json_str(&r, "migration_id", 1, SC_UUID_LEN);
    const char *phase = json_str(&r, "phase", 1, 32);
    (void)nid;
    struct job *job = ctl_job_find(ctl, id);
    struct vm *v = job && !job_ended(job) ? job_vm(ctl, job) : NULL;
    if (json_done(&r, NULL) == 0 && v && !strcmp(v->job, job->id))
        vm_migrate_progress(ctl, v, phase, params);
}

void ctl_storage_stats(struct ctl *ctl, uint16_t nid, const cJSON *params)
{
    struct ctl_node *n = ctl_node_by_nid(ctl, nid);
    struct json_reader r = json_read(params, "storage.stats");
    int64_t max = INT64_C(1) << 53;
    int64_t wan_in = json_int_or(&r, "wan_in", 0, max, 0);
    int64_t wan_out = json_int_or(&r, "wan_out", 0, max, 0);
    if (!n || json_done(&r, NULL) < 0)
        return;
    n->wan_in = (uint64_t)wan_in;
    n->wan_out = (uint64_t)wan_out;
}

/* --- time passes ------------------------------------------------------------
 */

static void node_down(struct ctl *ctl, struct ctl_node *n)
{
    n->n.state = NODE_DOWN;
    ctl->peers_changed = true;
    sc_log(SC_LOG_WARN, "node.down", "node", n->n.name, NULL);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_put_node(x, &n->n);
    for (size_t i = 0; i < ctl->vms.n; i++) {
        struct vm *v = ctl->vms.items[i];
        if (v->nid == n->n.nid && !v->job[0] && v->state != VM_UNKNOWN &&
            vm_state_may(v->state, VM_UNKNOWN)) {
            vm_move(v, VM_UNKNOWN);
            ctl_put_vm(x, v);
        }
    }
    ctl_txn_commit(x, NULL);
}

static void tell_latency(struct ctl *ctl)
{
    cJSON *j = cJSON_CreateObject();
    cJSON *pairs = cJSON_AddArrayToObject(j, "pairs");
    for (size_t i = 0; i < ctl->latencies.n; i++) {
        const struct ctl_latency *l = ctl->latencies.items[i];
        cJSON *p = cJSON_CreateObject();
        json_set_u64(p, "a", l->a);
        json_set_u64(p, "b", l->b);
        cJSON_AddNumberToObject(p, "rtt_ms", l->rtt_ms);
        cJSON_AddItemToArray(pairs, p);
    }
    ctl->env.notify(ctl->env.ctx, 0, PROGRAM_NETWORK, "net.latency", j);
    ctl->latency_told_at = ctl_now(ctl);
}

void ctl_registry_run(struct ctl *ctl)
{
    uint64_t now = ctl_now(ctl);
    uint64_t limit =
        ctl->heartbeat_ms * ctl->heartbeats_missed + ctl->heartbeat_ms / 2;
    for (size_t i = 0; i < ctl->nodes.n; i++) {
        struct ctl_node *n = ctl->nodes.items[i];
        if (n->n.state == NODE_UP && now > n->heard_at + limit)
            node_down(ctl, n);
    }
    if (ctl->peers_changed)
        tell_peers(ctl);
    if (ctl->latency_changed_at > ctl->latency_told_at &&
        now >= ctl->latency_told_at + LATENCY_TELL_MS)
        tell_latency(ctl);
}

double ctl_rtt(struct ctl *ctl, uint16_t a, uint16_t b)
{
    const struct ctl_latency *there = latency_find(ctl, a, b);
    const struct ctl_latency *back = a == b ? NULL : latency_find(ctl, b, a);
    if (there && back)
        return (there->rtt_ms + back->rtt_ms) / 2;
    return there ? there->rtt_ms : back ? back->rtt_ms : -1;
}

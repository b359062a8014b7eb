/* The API's form of the objects (docs/protocols/api.md): names beside ids,
 * nothing that is ours alone.  And the scheduler's snapshot. */
#include "controller/ctl.h"
#include "controller/jobs.h"
#include "scheduler/place.h"

#include <stdio.h>

static void add_or_null(cJSON *j, const char *key, const char *value)
{
    if (value && value[0])
        cJSON_AddStringToObject(j, key, value);
    else
        cJSON_AddNullToObject(j, key);
}

cJSON *ctl_node_json(struct ctl *ctl, const struct ctl_node *n)
{
    cJSON *j = cJSON_CreateObject();
    unsigned n_vms = 0;
    for (size_t i = 0; i < ctl->vms.n; i++)
        n_vms += ctl->vms.items[i]->nid == n->n.nid;
    cJSON_AddStringToObject(j, "id", n->n.id);
    json_set_u64(j, "nid", n->n.nid);
    cJSON_AddStringToObject(j, "name", n->n.name);
    cJSON_AddStringToObject(j, "region", n->n.region);
    cJSON_AddStringToObject(j, "provider", n->n.provider);
    cJSON_AddStringToObject(j, "address", n->n.address);
    cJSON_AddStringToObject(j, "state", node_state_name(n->n.state));
    cJSON_AddStringToObject(j, "hypervisor", n->n.hypervisor);
    cJSON_AddStringToObject(j, "version", n->n.version);
    cJSON *boot = cJSON_AddObjectToObject(j, "boot");
    cJSON_AddStringToObject(boot, "mode", n->n.boot_mode);
    cJSON_AddStringToObject(boot, "reason", n->n.boot_reason);
    json_set_u64(j, "cpus", n->n.cpus);
    json_set_u64(j, "memory_mib", n->n.memory_mib);
    json_set_u64(j, "memory_free_mib", n->n.memory_free_mib);
    json_set_u64(j, "vms", n_vms);
    json_set_u64(j, "last_seen_at", n->n.last_seen_at);
    json_set_u64(j, "joined_at", n->n.joined_at);
    cJSON *programs = cJSON_AddObjectToObject(j, "programs");
    for (int p = PROGRAM_NODE; p <= PROGRAM_STORAGE; p++)
        cJSON_AddBoolToObject(programs, ctl_program_names[p], n->connected[p]);
    ctl_node_facts_add(n, j);
    return j;
}

cJSON *ctl_network_json(struct ctl *ctl, const struct network *n)
{
    (void)ctl;
    return network_to_json(n);
}

cJSON *ctl_image_json(struct ctl *ctl, const struct image *i)
{
    (void)ctl;
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "id", i->id);
    cJSON_AddStringToObject(j, "name", i->name);
    cJSON_AddStringToObject(j, "kind", i->kind);
    json_set_u64(j, "size", i->size);
    add_or_null(j, "sha256", i->sha256);
    cJSON_AddStringToObject(j, "state", image_state_name(i->state));
    add_or_null(j, "kernel", i->kernel);
    add_or_null(j, "ramdisk", i->ramdisk);
    cJSON_AddStringToObject(j, "cmdline", i->cmdline);
    json_set_u64(j, "min_memory_mib", i->min_memory_mib);
    json_set_u64(j, "created_at", i->created_at);
    return j;
}

static void add_volumes(cJSON *j, const struct vm *v)
{
    cJSON *volumes = cJSON_AddArrayToObject(j, "volumes");
    for (uint32_t i = 0; i < v->n_volumes; i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "id", v->volumes[i].id);
        cJSON_AddStringToObject(o, "dev", v->volumes[i].dev);
        json_set_u64(o, "size", v->volumes[i].size);
        cJSON_AddItemToArray(volumes, o);
    }
}

static void add_ports(struct ctl *ctl, cJSON *j, const struct vm *v)
{
    cJSON *ports = cJSON_AddArrayToObject(j, "ports");
    for (uint32_t i = 0; i < v->n_ports; i++) {
        const struct vm_port *p = &v->ports[i];
        const struct network *n = ctl_network_find(ctl, p->network);
        char iface[16];
        port_iface(p->id, iface);
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "id", p->id);
        cJSON_AddStringToObject(o, "network", p->network);
        add_or_null(o, "network_name", n ? n->name : NULL);
        cJSON_AddStringToObject(o, "mac", p->mac);
        cJSON_AddStringToObject(o, "ip", p->ip);
        cJSON_AddStringToObject(o, "iface", iface);
        cJSON_AddItemToArray(ports, o);
    }
}

cJSON *ctl_vm_json(struct ctl *ctl, const struct vm *v)
{
    const struct ctl_node *n = ctl_node_by_nid(ctl, v->nid);
    const struct image *image = ctl_image_find(ctl, v->image);
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "id", v->id);
    cJSON_AddStringToObject(j, "name", v->name);
    cJSON_AddStringToObject(j, "state", vm_state_name(v->state));
    add_or_null(j, "node", n ? n->n.id : NULL);
    add_or_null(j, "node_name", n ? n->n.name : NULL);
    add_or_null(j, "region", n ? n->n.region : v->region);
    json_set_u64(j, "epoch", v->epoch);
    json_set_u64(j, "vcpus", v->vcpus);
    json_set_u64(j, "memory_mib", v->memory_mib);
    add_or_null(j, "image", v->image);
    add_or_null(j, "image_name", image ? image->name : NULL);
    add_volumes(j, v);
    add_ports(ctl, j, v);
    json_set_u64(j, "created_at", v->created_at);
    add_or_null(j, "error", v->error);
    add_or_null(j, "job", v->job);
    return j;
}

/* --- overview ------------------------------------------------------------- */

struct region_sum {
    const char *name;
    unsigned n_nodes, n_up, n_vms;
    uint64_t memory_mib, memory_free_mib;
};

static void add_regions(struct ctl *ctl, cJSON *j)
{
    cJSON *regions = cJSON_AddArrayToObject(j, "regions");
    for (size_t i = 0; i < ctl->nodes.n; i++) {
        struct region_sum sum = { .name = ctl->nodes.items[i]->n.region };
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = !strcmp(ctl->nodes.items[k]->n.region, sum.name);
        for (size_t k = i; !seen && k < ctl->nodes.n; k++) {
            const struct ctl_node *n = ctl->nodes.items[k];
            if (strcmp(n->n.region, sum.name) != 0)
                continue;
            bool up = n->n.state == NODE_UP;
            sum.n_nodes++;
            sum.n_up += up;
            sum.memory_mib += up ? n->n.memory_mib : 0;
            sum.memory_free_mib += up ? n->n.memory_free_mib : 0;
            for (size_t v = 0; v < ctl->vms.n; v++)
                sum.n_vms += ctl->vms.items[v]->nid == n->n.nid;
        }
        if (seen)
            continue;
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "name", sum.name);
        json_set_u64(o, "nodes", sum.n_nodes);
        json_set_u64(o, "nodes_up", sum.n_up);
        json_set_u64(o, "vms", sum.n_vms);
        json_set_u64(o, "memory_mib", sum.memory_mib);
        json_set_u64(o, "memory_free_mib", sum.memory_free_mib);
        cJSON_AddItemToArray(regions, o);
    }
}

cJSON *ctl_overview_json(struct ctl *ctl)
{
    cJSON *j = cJSON_CreateObject();
    add_regions(ctl, j);
    cJSON *latency = cJSON_AddArrayToObject(j, "latency");
    for (size_t i = 0; i < ctl->latencies.n; i++) {
        const struct ctl_latency *l = ctl->latencies.items[i];
        const struct ctl_node *a = ctl_node_by_nid(ctl, l->a);
        const struct ctl_node *b = ctl_node_by_nid(ctl, l->b);
        if (!a || !b)
            continue;
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "from", a->n.name);
        cJSON_AddStringToObject(o, "to", b->n.name);
        cJSON_AddNumberToObject(o, "rtt_ms", l->rtt_ms);
        cJSON_AddItemToArray(latency, o);
    }
    unsigned n_running = 0;
    for (size_t i = 0; i < ctl->vms.n; i++)
        n_running += ctl->vms.items[i]->state == VM_RUNNING;
    cJSON *counts = cJSON_AddObjectToObject(j, "counts");
    json_set_u64(counts, "nodes", ctl->nodes.n);
    json_set_u64(counts, "vms", ctl->vms.n);
    json_set_u64(counts, "vms_running", n_running);
    json_set_u64(counts, "images", ctl->images.n);
    json_set_u64(counts, "networks", ctl->networks.n);
    cJSON *jobs = cJSON_AddArrayToObject(j, "jobs_running");
    for (size_t i = ctl->jobs.n; i-- > 0;) {
        if (!job_ended(ctl->jobs.items[i]))
            cJSON_AddItemToArray(jobs, job_to_json(ctl->jobs.items[i], false));
    }
    uint64_t in = 0, out = 0;
    for (size_t i = 0; i < ctl->nodes.n; i++) {
        const struct ctl_node *n = ctl->nodes.items[i];
        in += n->wan_in + n->moved_in;
        out += n->wan_out + n->moved_out;
    }
    cJSON *wan = cJSON_AddObjectToObject(j, "wan");
    json_set_u64(wan, "in", in);
    json_set_u64(wan, "out", out);
    return j;
}

/* --- placement -------------------------------------------------------------
 */

static uint64_t promised_mib(struct ctl *ctl, const struct ctl_node *n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < ctl->vms.n; i++) {
        const struct vm *v = ctl->vms.items[i];
        if (v->nid == n->n.nid &&
            (v->state == VM_PENDING || v->state == VM_STARTING ||
             v->placed_at >= n->heard_at))
            sum += v->memory_mib;
    }
    for (size_t i = 0; i < ctl->jobs.n; i++) {
        const struct job *job = ctl->jobs.items[i];
        if (!job_ended(job) && job->kind == &vm_migrate_job &&
            job_u64(job, "to_nid") == n->n.nid)
            sum += job_u64(job, "memory_mib");
    }
    return sum;
}

static const char *unusable(const struct ctl_node *n)
{
    if (n->n.state != NODE_UP)
        return node_state_name(n->n.state);
    if (!n->connected[PROGRAM_NODE])
        return "sc-node is not connected";
    if (!n->connected[PROGRAM_STORAGE])
        return "sc-storage is not connected";
    if (!strcmp(n->n.boot_mode, "fallback") && !strcmp(n->n.hypervisor, "xen"))
        return "booted without its hypervisor";
    if (ctl_node_revoked(n))
        return "its provider will take it away";
    return NULL;
}

int ctl_place(struct ctl *ctl, const struct place_request *q,
              struct ctl_node **ret, struct sc_err *err)
{
    SC_AUTO(free)
    struct place_node *nodes = calloc(ctl->nodes.n + 1, sizeof *nodes);
    SC_AUTO(free)
    struct place_latency *ls = calloc(ctl->latencies.n + 1, sizeof *ls);
    if (!nodes || !ls)
        return sc_fail(err, -ENOMEM, "placement: out of memory");
    for (size_t i = 0; i < ctl->nodes.n; i++) {
        const struct ctl_node *n = ctl->nodes.items[i];
        nodes[i] = (struct place_node){
            .nid = n->n.nid,
            .id = n->n.id,
            .name = n->n.name,
            .region = n->n.region,
            .unusable = unusable(n),
            .memory_free_mib = n->n.memory_free_mib,
            .memory_promised_mib = promised_mib(ctl, n),
        };
    }
    for (size_t i = 0; i < ctl->latencies.n; i++) {
        const struct ctl_latency *l = ctl->latencies.items[i];
        ls[i] = (struct place_latency){ l->a, l->b, l->rtt_ms };
    }
    struct place_snapshot s = { nodes, ctl->nodes.n, ls, ctl->latencies.n };
    const struct place_node *best = NULL;
    int r = place(&s, q, &best, err);
    if (r == 0)
        *ret = ctl_node_by_nid(ctl, best->nid);
    return r;
}

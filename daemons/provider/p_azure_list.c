/* p_azure_list - see p_azure.h: machines, and their end.
 *
 * A list is put together from four: machines, their power states, interfaces
 * and public addresses; ids are compared without case, as Azure does. */
#include "provider/p_azure.h"

#include <strings.h>

enum provider_state azure_state_of(const cJSON *statuses)
{
    static const struct {
        const char *code;
        enum provider_state state;
    } states[] = {
        { "PowerState/running", PROVIDER_RUNNING },
        { "PowerState/stopping", PROVIDER_RUNNING },
        { "PowerState/deallocating", PROVIDER_RUNNING },
        { "PowerState/starting", PROVIDER_PENDING },
        { "PowerState/stopped", PROVIDER_STOPPED },
        { "PowerState/deallocated", PROVIDER_STOPPED },
    };
    const cJSON *s;
    cJSON_ArrayForEach(s, statuses)
    {
        for (size_t i = 0; i < SC_ARRAY_LEN(states); i++)
            if (!strcasecmp(rest_str(s, "code"), states[i].code))
                return states[i].state;
    }
    return PROVIDER_PENDING;
}

static const cJSON *by_id(const cJSON *list, const char *id)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        if (*id && !strcasecmp(rest_str(item, "id"), id))
            return item;
    }
    return NULL;
}

static int keep(void *arg, const cJSON *item, struct sc_err *err)
{
    return cJSON_AddItemToArray(arg, cJSON_Duplicate(item, true))
               ? 0
               : sc_fail(err, -ENOMEM, "azure: out of memory");
}

/* 'nic' and 'ip' may be NULL. */
static int instance_of(const struct p_azure *p, const cJSON *vm,
                       const cJSON *statuses, const cJSON *nic, const cJSON *ip,
                       struct provider_instance *ret)
{
    const char *vm_name = rest_str(vm, "name");
    struct provider_instance i = {
        .id = strdup(vm_name),
        .name = strdup(vm_name),
        .region = strdup(rest_str(vm, "location")),
        .zone = strdup(rest_str(vm, "zones.0")),
        .type = strdup(rest_str(vm, "properties.hardwareProfile.vmSize")),
        .image =
            strdup(rest_str(vm, "properties.storageProfile.imageReference.id")),
        .address = strdup(rest_str(ip, "properties.ipAddress")),
        .private_address = strdup(rest_str(
            nic, "properties.ipConfigurations.0.properties.privateIPAddress")),
        .cluster = strdup(rest_str(vm, "tags." AZURE_CLUSTER)),
        .token = strdup(rest_str(vm, "tags." AZURE_TOKEN)),
        .spot = !strcmp(rest_str(vm, "properties.priority"), "Spot"),
        .state = azure_state_of(statuses),
        .created_at = rest_time(rest_str(vm, "properties.timeCreated")),
    };
    char id[AZURE_URL_MAX];
    azure_id(p, AZURE_VM, vm_name, id);
    if (asprintf(&i.console, "%s%s/retrieveBootDiagnosticsData", p->management,
                 id) < 0)
        i.console = NULL;
    if (!i.id || !i.name || !i.region || !i.zone || !i.type || !i.image ||
        !i.address || !i.private_address || !i.cluster || !i.token ||
        !i.console) {
        provider_instance_clear(&i);
        return -ENOMEM;
    }
    *ret = i;
    return 0;
}

#define NIC_OF "properties.networkProfile.networkInterfaces.0.id"
#define IP_OF "properties.ipConfigurations.0.properties.publicIPAddress.id"

int azure_list(struct provider *up, const char *region, provider_each_fn *fn,
               void *arg, struct sc_err *err)
{
    struct p_azure *p = (struct p_azure *)up;
    SC_AUTO(cjson_free) cJSON *vms = cJSON_CreateArray();
    SC_AUTO(cjson_free) cJSON *states = cJSON_CreateArray();
    SC_AUTO(cjson_free) cJSON *nics = cJSON_CreateArray();
    SC_AUTO(cjson_free) cJSON *ips = cJSON_CreateArray();
    char url[AZURE_URL_MAX];
    snprintf(url, sizeof url,
             "%s/subscriptions/%s/providers/Microsoft.Compute/virtualMachines"
             "?api-version=%s&statusOnly=true",
             p->management, p->subscription, azure_type(AZURE_VM)->version);
    int r = azure_each(p, AZURE_VM, keep, vms, err);
    if (r == 0)
        r = azure_pages(p, url, "value", "nextLink", false, "instances", keep,
                        states, err);
    if (r == 0)
        r = azure_each(p, AZURE_NIC, keep, nics, err);
    if (r == 0)
        r = azure_each(p, AZURE_IP, keep, ips, err);
    const cJSON *vm;
    cJSON_ArrayForEach(vm, vms)
    {
        const char *location = rest_str(vm, "location");
        struct provider_instance i = { 0 };
        if (r || (region && *region ? strcasecmp(region, location) != 0
                                    : !settings_listed(p->location, location)))
            continue;
        const cJSON *state = by_id(states, rest_str(vm, "id"));
        const cJSON *nic = by_id(nics, rest_str(vm, NIC_OF));
        const cJSON *ip = by_id(ips, rest_str(nic, IP_OF));
        r = instance_of(p, vm,
                        rest_at(state, "properties.instanceView.statuses"), nic,
                        ip, &i);
        r = r < 0 ? sc_fail(err, r, "azure: out of memory") : fn(arg, &i);
        provider_instance_clear(&i);
    }
    return r;
}

int azure_instance(struct p_azure *p, const char *name,
                   struct provider_instance *ret, struct sc_err *err)
{
    struct rest_answer vm = { 0 }, view = { 0 }, nic = { 0 }, ip = { 0 };
    bool found = false;
    int r = azure_call(p, "GET", AZURE_VM, name, "", "", NULL, &vm, err);
    if (r == 0)
        r = azure_call(p, "GET", AZURE_VM, name, "/instanceView", "", NULL,
                       &view, err);
    const char *nic_name = rest_base(rest_str(vm.json, NIC_OF));
    if (r == 0 && azure_name_ok(nic_name))
        r = azure_get(p, AZURE_NIC, nic_name, &nic, &found, err);
    const char *ip_name = rest_base(rest_str(nic.json, IP_OF));
    if (r == 0 && found && azure_name_ok(ip_name))
        r = azure_get(p, AZURE_IP, ip_name, &ip, &found, err);
    if (r == 0 && instance_of(p, vm.json, rest_at(view.json, "statuses"),
                              nic.json, ip.json, ret) < 0)
        r = sc_fail(err, -ENOMEM, "azure: out of memory");
    rest_answer_clear(&vm);
    rest_answer_clear(&view);
    rest_answer_clear(&nic);
    rest_answer_clear(&ip);
    return r;
}

/* What we made for a machine has our tag; what only has such a name, not. */
static int remove_ours(struct p_azure *p, enum azure_kind kind,
                       const char *machine, const char *suffix,
                       struct sc_err *err)
{
    char name[96];
    struct rest_answer a = { 0 };
    bool found;
    snprintf(name, sizeof name, "%.64s%s", machine, suffix);
    int r = azure_get(p, kind, name, &a, &found, err);
    /* A disk made with a machine has the machine's tags, in time. */
    bool ours = kind == AZURE_DISK || *rest_str(a.json, "tags." AZURE_CLUSTER);
    rest_answer_clear(&a);
    return r == 0 && found && ours ? azure_remove_one(p, kind, name, err) : r;
}

int azure_remove_machine(struct p_azure *p, const char *name,
                         struct sc_err *err)
{
    int r = azure_remove_one(p, AZURE_VM, name, err);
    if (r == 0)
        r = remove_ours(p, AZURE_NIC, name, "-nic", err);
    if (r == 0)
        r = remove_ours(p, AZURE_IP, name, "-ip", err);
    if (r == 0)
        r = remove_ours(p, AZURE_NSG, name, "-nsg", err);
    if (r == 0)
        r = remove_ours(p, AZURE_DISK, name, "-disk", err);
    return r;
}

int azure_terminate(struct provider *up, const char *region, const char *id,
                    struct sc_err *err)
{
    (void)region;
    if (!azure_name_ok(id))
        return sc_fail(err, -EINVAL,
                       "azure: id '%.64s': an instance's is its machine's name",
                       id);
    return azure_remove_machine((struct p_azure *)up, id, err);
}

int azure_fence(struct provider *up, const char *region, const char *id,
                struct sc_err *err)
{
    struct p_azure *p = (struct p_azure *)up;
    (void)region;
    if (!azure_name_ok(id))
        return sc_fail(err, -EINVAL,
                       "azure: id '%.64s': an instance's is its machine's name",
                       id);
    int r = azure_do(p, "POST", AZURE_VM, id, "/powerOff", "&skipShutdown=true",
                     NULL, true, NULL, err);
    /* An operation that is done is not yet a machine that is off: look. */
    for (int i = 0; r == 0 && i < 60; i++) {
        struct rest_answer a = { 0 };
        struct sc_err why = { 0 };
        r = azure_call(p, "GET", AZURE_VM, id, "/instanceView", "", NULL, &a,
                       &why);
        enum provider_state state = azure_state_of(rest_at(a.json, "statuses"));
        rest_answer_clear(&a);
        if (r == -ENOENT || (r == 0 && state == PROVIDER_STOPPED))
            return 0;
        if (r < 0 && err)
            *err = why;
        if (r == 0)
            r = web_pause(p->web, 1000, err);
    }
    return r < 0 ? r
                 : sc_fail(err, -ETIMEDOUT,
                           "azure: instance '%s': not off a minute after it "
                           "was powered off",
                           id);
}

/* p_azure_left - see p_azure.h: what is left of a cluster, in the order in
 * which it can be removed: what uses something comes before it. */
#include "provider/p_azure.h"

#include <strings.h>

struct leftovers {
    const char *cluster;
    enum azure_kind kind;
    provider_each_resource_fn *fn;
    void *arg;
};

static bool in_use(const cJSON *vnet)
{
    const cJSON *subnet;
    cJSON_ArrayForEach(subnet, rest_at(vnet, "properties.subnets"))
    {
        if (rest_at(subnet, "properties.ipConfigurations.0"))
            return true;
    }
    return false;
}

static int on_item(void *arg, const cJSON *item, struct sc_err *err)
{
    const struct leftovers *l = arg;
    const char *cluster = rest_str(item, "tags." AZURE_CLUSTER);
    char detail[160];
    if (strcmp(cluster, l->cluster) != 0 ||
        (l->kind == AZURE_VNET && in_use(item)))
        return 0;
    const char *state = rest_str(item, "properties.diskState");
    if (!*state)
        state = rest_str(item, "properties.provisioningState");
    double gb = rest_num(item, "properties.diskSizeGB");
    if (gb > 0)
        snprintf(detail, sizeof detail, "%.64s, %.0f GiB", state, gb);
    else
        snprintf(detail, sizeof detail, "%.64s", state);
    /* An image's id is what publish gave. */
    struct provider_resource q = {
        .kind = (char *)azure_type(l->kind)->kind,
        .id = (char *)rest_str(item, l->kind == AZURE_IMAGE ? "id" : "name"),
        .name = (char *)rest_str(item, "name"),
        .region = (char *)rest_str(item, "location"),
        .cluster = (char *)cluster,
        .token = (char *)rest_str(item, "tags." AZURE_TOKEN),
        .detail = detail,
        .created_at = rest_time(rest_str(item, "properties.timeCreated")),
    };
    (void)err;
    return l->fn(l->arg, &q);
}

int azure_leftovers(struct provider *up, const char *cluster,
                    provider_each_resource_fn *fn, void *arg,
                    struct sc_err *err)
{
    struct leftovers l = { cluster, AZURE_VM, fn, arg };
    int r = 0;
    for (int kind = 0; r == 0 && kind < AZURE_N_KINDS; kind++) {
        l.kind = (enum azure_kind)kind;
        r = azure_each((struct p_azure *)up, l.kind, on_item, &l, err);
    }
    return r;
}

int azure_remove(struct provider *up, const char *kind, const char *region,
                 const char *id, struct sc_err *err)
{
    struct p_azure *p = (struct p_azure *)up;
    const char *name = rest_base(id);
    (void)region;
    if (!azure_name_ok(name))
        return sc_fail(err, -EINVAL, "azure: %.20s '%.64s': not a name", kind,
                       name);
    if (!strcmp(kind, azure_type(AZURE_VM)->kind))
        return azure_remove_machine(p, name, err);
    for (int k = 0; k < AZURE_N_KINDS; k++) {
        if (strcmp(kind, azure_type((enum azure_kind)k)->kind) != 0)
            continue;
        /* A disk that is being uploaded to is held by its signed URL. */
        if (k == AZURE_DISK)
            (void)!azure_do(p, "POST", AZURE_DISK, name, "/endGetAccess", "",
                            NULL, true, NULL, NULL);
        return azure_remove_one(p, (enum azure_kind)k, name, err);
    }
    return sc_fail(err, -EINVAL,
                   "azure: %.20s: kinds are instance, nic, public-ip, "
                   "security-group, disk, image, network",
                   kind);
}

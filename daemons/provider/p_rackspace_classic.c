/* p_rackspace_classic - Rackspace's classic public cloud: identity v2.0 with an
 * API key, images by import of a VHD from Cloud Files, servers by Nova v2.
 *
 * Servers are the OpenStack driver's: the class below names its functions.
 * Without Neutron there are no security groups: instances have public
 * addresses, and what they let in is their own firewall's business. */
#include "provider/p_rackspace_classic.h"

#include <endian.h>

enum { VHD_FOOTER = 512, USER_DATA_MAX = 65535 / 4 * 3 };
#define VHD_MAX (40ULL << 30)

static const struct provider_field fields[] = {
    { "username", "user of the Rackspace account", true, false },
    { "api_key", "API key of the user (Account settings)", true, true },
    { "region", "region, or several separated by commas (default: all)", false,
      false },
    { "auth_url",
      "identity service (default: Rackspace's, "
      "https://identity.api.rackspacecloud.com/v2.0)",
      false, false },
    { "container",
      "Cloud Files container images pass through (default: " RAX_CONTAINER ")",
      false, false },
    { "network",
      "network ids of new instances, separated by commas (default: the public "
      "and the service network)",
      false, false },
    { "flavor", "default type of instances", false, false },
    { "prices", "what types cost in USD an hour, as 'name=0.05, name=0.1'",
      false, false },
    { "ca_file", "certificate authorities, a PEM file", false, false },
    { "retry_ms", "first pause before a request is tried again, in ms (500)",
      false, false },
    { NULL, NULL, false, false },
};

const char *rax_container(const struct openstack *o)
{
    return o->container ? o->container : RAX_CONTAINER;
}

int rax_check_vhd(int fd, uint64_t size, struct sc_err *err)
{
    static const unsigned char zero[16];
    unsigned char f[VHD_FOOTER];
    uint64_t virtual;
    uint32_t kind;
    if (size < VHD_FOOTER ||
        pread(fd, f, VHD_FOOTER, (off_t)(size - VHD_FOOTER)) != VHD_FOOTER ||
        memcmp(f, "conectix", 8) != 0)
        return sc_fail(err, -EINVAL,
                       "file: not a VHD: it has no footer at its end");
    memcpy(&virtual, f + 48, sizeof virtual);
    memcpy(&kind, f + 60, sizeof kind);
    virtual = be64toh(virtual);
    kind = be32toh(kind);
    if (kind != 2 && kind != 3)
        return sc_fail(err, -EINVAL,
                       "file: the VHD is neither fixed nor dynamic (it has a "
                       "parent): Rackspace imports whole disks alone");
    if (size > VHD_MAX || virtual > VHD_MAX)
        return sc_fail(err, -EINVAL,
                       "file: %llu bytes, a disk of %llu: Rackspace imports up "
                       "to 40 GB of either",
                       (unsigned long long)size, (unsigned long long)virtual);
    if (!memcmp(f + 68, zero, sizeof zero))
        return sc_fail(err, -EINVAL,
                       "file: the VHD's UUID is zero: Rackspace refuses it; "
                       "images/build sets one");
    return 0;
}

static int rax_open(const cJSON *config, struct provider **ret,
                    struct sc_err *err)
{
    return os_open(&p_rackspace_classic_class, config, ret, err);
}

struct left {
    struct openstack *o;
    const char *cluster;
    provider_each_resource_fn *fn;
    void *arg;
    struct sc_err *err;
};

static int look_in(void *arg, const char *region)
{
    struct left *l = arg;
    int r = rax_untagged_each(l->o, region, l->cluster, l->fn, l->arg, l->err);
    return r ? r
             : rax_object_each(l->o, region, l->cluster, l->fn, l->arg, l->err);
}

static int rax_leftovers(struct provider *up, const char *cluster,
                         provider_each_resource_fn *fn, void *arg,
                         struct sc_err *err)
{
    struct left l = { (struct openstack *)up, cluster, fn, arg, err };
    int r = os_leftovers(up, cluster, fn, arg, err);
    return r ? r : os_each_region(l.o, NULL, look_in, &l, err);
}

static int rax_remove(struct provider *up, const char *kind, const char *region,
                      const char *id, struct sc_err *err)
{
    struct openstack *o = (struct openstack *)up;
    if (strcmp(kind, "object") != 0)
        return os_remove(up, kind, region, id, err);
    int r = os_region(o, region, &region, err);
    return r < 0 ? r : rax_object_delete(o, region, id, err);
}

static const char permissions[] =
    "A user with the roles 'Creator' of Cloud Servers (with Cloud Images) and "
    "of Cloud Files; deleting needs 'Admin' of both. An account "
    "administrator's "
    "key is not needed.";

const struct provider_class p_rackspace_classic_class = {
    .name = "rackspace-classic",
    .about = "Rackspace's classic public cloud (XenServer)",
    .fields = fields,
    .user_data_max = USER_DATA_MAX,
    .image_format = "vhd",
    .permissions = permissions,
    .open = rax_open,
    .close = os_close,
    .check = os_check,
    .regions = os_regions,
    .publish = rax_publish,
    .launch = os_launch,
    .list = os_server_list,
    .terminate = os_terminate,
    .fence = os_fence,
    .types = os_types,
    .prices = os_prices,
    .leftovers = rax_leftovers,
    .remove = rax_remove,
};

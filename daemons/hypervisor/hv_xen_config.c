/* hv_xen_config - a guest's specification as libxl's configuration: always a
 * paravirtual guest, which needs nothing of the first layer's processor. */
#include "hypervisor/hv_xen.h"

#include <libxl_utils.h>
#include <stdio.h>

void xen_name(const char *vm_id, char ret[XEN_NAME_MAX])
{
    snprintf(ret, XEN_NAME_MAX, "sc-%s", vm_id);
}

static int parse_mac(const char *text, libxl_mac *ret)
{
    unsigned b[6];
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &b[0], &b[1], &b[2], &b[3],
               &b[4], &b[5]) != 6)
        return -EINVAL;
    for (int i = 0; i < 6; i++)
        (*ret)[i] = (uint8_t)b[i];
    return 0;
}

/* hvc0 is where xenconsoled listens; a guest that names no console gets it. */
static char *command_line(const char *given)
{
    char *line = NULL;
    bool has = given && strstr(given, "console=");
    if (asprintf(&line, "%s%s%s", given ? given : "",
                 has || !given || !*given ? "" : " ",
                 has ? "" : "console=hvc0") < 0)
        return NULL;
    return line;
}

static int fill_build(libxl_ctx *ctx, const struct hv_spec *s,
                      libxl_domain_build_info *b)
{
    libxl_domain_build_info_init_type(b, LIBXL_DOMAIN_TYPE_PV);
    b->max_vcpus = (int)s->vcpus;
    if (libxl_cpu_bitmap_alloc(ctx, &b->avail_vcpus, (int)s->vcpus))
        return -ENOMEM;
    libxl_bitmap_set_none(&b->avail_vcpus);
    for (unsigned i = 0; i < s->vcpus; i++)
        libxl_bitmap_set(&b->avail_vcpus, (int)i);
    b->max_memkb = b->target_memkb = s->memory_mib * 1024;
    b->kernel = strdup(s->kernel);
    b->ramdisk = s->ramdisk ? strdup(s->ramdisk) : NULL;
    b->cmdline = command_line(s->cmdline);
    return !b->kernel || !b->cmdline || (s->ramdisk && !b->ramdisk) ? -ENOMEM
                                                                    : 0;
}

static int fill_disks(const struct hv_spec *s, const int devices[],
                      libxl_domain_config *c)
{
    if (s->n_disks && !(c->disks = calloc(s->n_disks, sizeof *c->disks)))
        return -ENOMEM;
    for (unsigned i = 0; i < s->n_disks; i++) {
        libxl_device_disk *d = &c->disks[c->num_disks++];
        libxl_device_disk_init(d);
        if (asprintf(&d->pdev_path, "/dev/nbd%d", devices[i]) < 0) {
            d->pdev_path = NULL;
            return -ENOMEM;
        }
        if (!(d->vdev = strdup(s->disks[i].dev)))
            return -ENOMEM;
        d->backend = LIBXL_DISK_BACKEND_PHY;
        d->format = LIBXL_DISK_FORMAT_RAW;
        d->readwrite = !s->disks[i].readonly;
    }
    return 0;
}

static int fill_nics(const struct hv_spec *s, libxl_domain_config *c)
{
    if (s->n_nics && !(c->nics = calloc(s->n_nics, sizeof *c->nics)))
        return -ENOMEM;
    for (unsigned i = 0; i < s->n_nics; i++) {
        libxl_device_nic *n = &c->nics[c->num_nics++];
        libxl_device_nic_init(n);
        n->nictype = LIBXL_NIC_TYPE_VIF;
        n->mtu = s->nics[i].mtu ? (int)s->nics[i].mtu : 1500;
        if (parse_mac(s->nics[i].mac, &n->mac) < 0)
            return -EINVAL;
        /* Only names it and brings it up: sc-node puts it into the switch. */
        n->script = strdup("vif-supercloud");
        n->ifname = strdup(s->nics[i].ifname);
        if (!n->script || !n->ifname)
            return -ENOMEM;
    }
    return 0;
}

int xen_config_fill(libxl_ctx *ctx, const struct hv_spec *spec,
                    const int devices[], libxl_domain_config *ret,
                    struct sc_err *err)
{
    char name[XEN_NAME_MAX];
    libxl_domain_config_init(ret);
    xen_name(spec->id, name);
    ret->c_info.type = LIBXL_DOMAIN_TYPE_PV;
    ret->c_info.name = strdup(name);
    int r =
        !ret->c_info.name || libxl_uuid_from_string(&ret->c_info.uuid, spec->id)
            ? -EINVAL
            : fill_build(ctx, spec, &ret->b_info);
    if (r == 0)
        r = fill_disks(spec, devices, ret);
    if (r == 0)
        r = fill_nics(spec, ret);
    return r == 0 ? 0
                  : sc_fail(err, r, "vm %s: configuration for Xen: %s",
                            spec->id, strerror(-r));
}

/* provider-class - what a driver of a first-layer cloud provides.
 *
 * Read provider.h for the meaning of each call.  A driver embeds 'struct
 * provider' as its first member.  An absent member means the provider cannot do
 * it, and callers get -ENOTSUP with the driver's and the call's names.
 * Life: open allocates and checks the settings without touching the cloud
 * (provider.c fills 'hooks' afterwards); every other call may be made in any
 * order; close frees.  HTTP goes through web.h alone.
 * provider.c has checked before a driver is called: that the settings have
 * every required field and no unknown one; names, ids, tags, rules, the size
 * of the user data, the image's format, and that its file can be read. */
#ifndef SC_PROVIDER_PROVIDER_CLASS_H
#define SC_PROVIDER_PROVIDER_CLASS_H

#include "provider/provider.h"

struct provider {
    const struct provider_class *class;
    struct provider_hooks hooks;
};

struct provider_class {
    const char *name;
    const char *about;                   /* One line for people. */
    const struct provider_field *fields; /* Ends with a NULL name. */
    size_t user_data_max;                /* bytes, before any encoding */
    const char *image_format;            /* As in manifest.json. */
    const char *permissions; /* The least a credential needs, for people. */
    int (*open)(const cJSON *config, struct provider **ret, struct sc_err *err);
    void (*close)(struct provider *p);
    int (*check)(struct provider *p, char **ret, struct sc_err *err);
    int (*regions)(struct provider *p, provider_each_region_fn *fn, void *arg,
                   struct sc_err *err);
    int (*publish)(struct provider *p, const struct provider_publish *q,
                   struct provider_image *ret, struct sc_err *err);
    int (*launch)(struct provider *p, const struct provider_launch *l,
                  struct provider_instance *ret, struct sc_err *err);
    int (*list)(struct provider *p, const char *region, provider_each_fn *fn,
                void *arg, struct sc_err *err);
    int (*terminate)(struct provider *p, const char *region, const char *id,
                     struct sc_err *err);
    int (*fence)(struct provider *p, const char *region, const char *id,
                 struct sc_err *err);
    /* Bytes as the provider has them, the newest at the end, malloc'd; more
     * than PROVIDER_CONSOLE_MAX are cut by provider.c. */
    int (*console)(struct provider *p, const char *region, const char *id,
                   char **ret, size_t *ret_size, struct sc_err *err);
    int (*types)(struct provider *p, const char *region,
                 provider_each_type_fn *fn, void *arg, struct sc_err *err);
    int (*prices)(struct provider *p, const char *region, const char *type,
                  provider_each_price_fn *fn, void *arg, struct sc_err *err);
    int (*leftovers)(struct provider *p, const char *cluster,
                     provider_each_resource_fn *fn, void *arg,
                     struct sc_err *err);
    int (*remove)(struct provider *p, const char *kind, const char *region,
                  const char *id, struct sc_err *err);
};

extern const struct provider_class p_local_class, p_ec2_class, p_gce_class,
    p_azure_class, p_openstack_class, p_rackspace_classic_class;

#endif

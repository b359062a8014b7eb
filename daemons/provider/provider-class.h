/* provider-class - what a driver of a first-layer cloud provides.
 *
 * Read provider.h for the meaning of each call.  A driver embeds 'struct
 * provider' as its first member.  An absent member means the provider cannot do
 * it, and callers get -ENOTSUP with the driver's and the call's names.
 * Life: open allocates and checks the settings without touching the cloud;
 * every other call may be made in any order; close frees. */
#ifndef SC_PROVIDER_PROVIDER_CLASS_H
#define SC_PROVIDER_PROVIDER_CLASS_H

#include "provider/provider.h"

struct provider {
    const struct provider_class *class;
};

struct provider_class {
    const char *name;
    const char *about; /* One line for people. */
    int (*open)(const cJSON *config, struct provider **ret, struct sc_err *err);
    void (*close)(struct provider *p);
    int (*launch)(struct provider *p, const struct provider_launch *l,
                  struct provider_instance *ret, struct sc_err *err);
    int (*list)(struct provider *p, provider_each_fn *fn, void *arg,
                struct sc_err *err);
    int (*terminate)(struct provider *p, const char *id, struct sc_err *err);
    int (*fence)(struct provider *p, const char *id, struct sc_err *err);
    int (*types)(struct provider *p, const struct provider_type **ret,
                 struct sc_err *err);
};

extern const struct provider_class p_local_class;

#endif

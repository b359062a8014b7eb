/* provider - instances at an infrastructure cloud, as callers see them.
 *
 * Used by sc-provider and the demo.  Drivers are behind provider-class.h; all
 * are used alike.  Calls block (HTTP, processes): call them from a program of
 * their own or a worker thread, never from a daemon's loop.  Not thread-safe.
 * Ownership: strings in an instance belong to it (provider_instance_clear).
 * Units: MiB of memory.
 * Source: paper section 3.4 (management of the first layer). */
#ifndef SC_PROVIDER_PROVIDER_H
#define SC_PROVIDER_PROVIDER_H

#include "common/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#define PROVIDER_STATES(S)                                                     \
    S(PENDING, "pending")                                                      \
    S(RUNNING, "running")                                                      \
    S(STOPPED, "stopped")                                                      \
    S(TERMINATED, "terminated")
enum provider_state {
#define S(id, text) PROVIDER_##id,
    PROVIDER_STATES(S) PROVIDER_N_STATES
#undef S
};
const char *provider_state_name(enum provider_state s);

struct provider_instance {
    char *id; /* The provider's own name for it. */
    char *name, *region, *type;
    char *address; /* Where other nodes reach it; "" if unknown. */
    char *console; /* File or URL of its serial log; "" if none. */
    enum provider_state state;
    uint64_t created_at; /* ms since 1970 */
};
void provider_instance_clear(struct provider_instance *i);

/* A type of instance that can be launched. */
struct provider_type {
    const char *name;
    unsigned vcpus, memory_mib;
    bool nested_virtualisation;
};

struct provider_launch {
    const char *name; /* Also the host name; unique at the provider. */
    const char *region;
    const char *type;      /* NULL: the driver's default. */
    const char *image;     /* The provider's image; local: a file. */
    const char *user_data; /* Text given to cloud-init. */
    const cJSON *options;  /* The driver's own; NULL: none. */
};

struct provider;
/* 'name' is a driver ("local"), 'config' its settings (borrowed).  0, or
 * -errno with 'err' filled; -ENOENT lists the drivers there are. */
int provider_open(const char *name, const cJSON *config, struct provider **ret,
                  struct sc_err *err) SC_MUST_CHECK;
void provider_close(struct provider *p); /* NULL is allowed. */
SC_CLEANUP(struct provider, provider_close)

/* All below: 0 or -errno with 'err' filled in the provider's own words;
 * -ENOTSUP: the driver has no such call. */
int provider_launch(struct provider *p, const struct provider_launch *l,
                    struct provider_instance *ret,
                    struct sc_err *err) SC_MUST_CHECK;
/* Calls 'fn' for each instance until it returns non-0, which is returned. */
typedef int provider_each_fn(void *arg, const struct provider_instance *i);
int provider_list(struct provider *p, provider_each_fn *fn, void *arg,
                  struct sc_err *err) SC_MUST_CHECK;
/* Ends 'id' and frees all it cost.  An instance that is not there is 0. */
int provider_terminate(struct provider *p, const char *id,
                       struct sc_err *err) SC_MUST_CHECK;
/* Powers 'id' off for certain: when this returns 0 it no longer runs. */
int provider_fence(struct provider *p, const char *id,
                   struct sc_err *err) SC_MUST_CHECK;
/* The types there are; '*ret' is the driver's table, ends with a NULL name. */
int provider_types(struct provider *p, const struct provider_type **ret,
                   struct sc_err *err) SC_MUST_CHECK;

#endif

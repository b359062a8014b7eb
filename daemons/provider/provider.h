/* provider - instances and images at an infrastructure cloud, as callers see
 * them.
 *
 * Used by sc-provider (a program that runs once, for people, the demo and the
 * controller: docs/protocols/provider.md).  Drivers are behind
 * provider-class.h; all are used alike.  Calls block (HTTP, processes), report
 * through the hooks, and are safe to repeat: an interrupted publish or launch
 * called again with the same token goes on where it was and makes nothing
 * twice.  Whatever a driver makes at the provider carries the tags of
 * provider_tags, so that what an interrupted call left can be found again
 * (provider_leftovers) and removed.  Not thread-safe.
 * Ownership: strings in a result belong to it (provider_x_clear); strings and
 * JSON in a request are borrowed.  A field that is not known is "" (or NULL in
 * a request).
 * Units: MiB of memory, bytes, ms since 1970, money as decimal US dollars per
 * hour or per GiB.
 * Errors of all calls: 0 or -errno with 'err' filled in the provider's own
 * words, its request id, and what to do:
 *   -EACCES  the credential is wrong, expired, or lacks a permission (named)
 *   -EDQUOT  a quota of the account    -ENOSPC  the provider has no capacity
 *   -ENOENT  no such image, type, region or instance
 *   -EINVAL  a field is wrong (named)  -EEXIST  the name is in use
 *   -ETIMEDOUT, -EHOSTUNREACH          not reached, after retries
 *   -EPROTO  an answer we do not understand   -ECANCELED  a hook said so
 *   -ENOTSUP the driver has no such call
 * Source: paper sections 3 and 3.4 (management of the first layer). */
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

/* Who we are at the provider: written on everything we make. */
struct provider_tags {
    const char *cluster; /* Id of this Supercloud; 1 to 63 of [a-z0-9-]. */
    const char *token;   /* Of the operation: the job's id. */
};

/* How a long call speaks to its caller.  Any member may be NULL.  'cancelled'
 * may be asked from other threads of a driver; it must not mind. */
struct provider_hooks {
    /* 'stage' is for people ("upload", "register"); 'total' 0: not known. */
    void (*progress)(void *arg, const char *stage, uint64_t done,
                     uint64_t total);
    /* What the same call must be given again as 'resume' after a crash; called
     * before and after each thing that is made.  'state' is borrowed. */
    void (*save)(void *arg, const cJSON *state);
    bool (*cancelled)(void *arg); /* True: undo what was made, -ECANCELED. */
    void *arg;
};

struct provider_instance {
    char *id; /* The provider's own name for it. */
    char *name, *region, *zone, *type, *image;
    char *address;         /* Where other nodes reach it. */
    char *private_address; /* Inside the provider's network. */
    char *console;         /* Where its serial log is: a file of this machine,
                              or an address of the API; "": it has none.
                              provider_console reads it. */
    char *cluster, *token; /* Its tags; "": not ours. */
    bool spot;
    enum provider_state state;
    uint64_t created_at;
};
void provider_instance_clear(struct provider_instance *i);

/* A type of instance that can be launched. */
struct provider_type {
    char *name;
    unsigned vcpus, memory_mib;
    bool nested_virtualisation; /* VT-x or SVM can be had inside. */
    bool xen;                   /* Our Xen dom0 can run there (Azure: never). */
};
void provider_type_clear(struct provider_type *t);

struct provider_price {
    char *type, *region, *zone;
    char *what;    /* "on-demand", "spot", "egress-internet", "egress-region" */
    char *unit;    /* "hour", "GiB" */
    double amount; /* USD */
    uint64_t at;   /* Since when it is so; 0: not known. */
};
void provider_price_clear(struct provider_price *p);

/* Anything of ours at the provider that costs or clutters. */
struct provider_resource {
    char *kind; /* "instance", "image", "snapshot", "disk", "object", "nic",
                   "security-group" ... the driver's words. */
    char *id, *name, *region;
    char *cluster, *token;
    char *detail; /* For people: state, size. */
    uint64_t created_at;
};
void provider_resource_clear(struct provider_resource *r);

/* A finished image at the provider. */
struct provider_image {
    char *id, *name, *region;
};
void provider_image_clear(struct provider_image *i);

struct provider_publish {
    const char *name; /* Of the image at the provider. */
    const char *region;
    const char *file;   /* The image as `images/build` made it. */
    const char *format; /* manifest.json: "raw", "vhd", "qcow2", "tar.gz" */
    const char *sha256; /* Of the file, hex. */
    const char *boot;   /* "bios", "uefi" */
    uint64_t virtual_size;
    const cJSON *options; /* The driver's own (bucket, resource group ...). */
    const cJSON *resume;  /* What 'save' last gave; NULL: from the start. */
    struct provider_tags tags;
};

struct provider_rule {    /* Incoming traffic that is let in. */
    const char *protocol; /* "tcp", "udp", "icmp" */
    unsigned port_from, port_to;
    const char *cidr;
};

struct provider_launch {
    const char *name; /* Also the host name; unique at the provider. */
    const char *region;
    const char *zone;      /* NULL: any. */
    const char *type;      /* NULL: the driver's default. */
    const char *image;     /* The provider's image; local: a file. */
    const char *user_data; /* Text given to cloud-init. */
    bool spot;
    double max_price;  /* USD an hour for 'spot'; 0: up to on demand. */
    unsigned disk_gib; /* 0: the image's. */
    const struct provider_rule *rules; /* The firewall; NULL: the default's. */
    size_t n_rules;
    const cJSON *options; /* The driver's own; NULL: none. */
    const cJSON *resume;  /* As for publish. */
    struct provider_tags tags;
};

/* Settings of a driver, for forms and help.  A table ends with a NULL name. */
struct provider_field {
    const char *name, *about;
    bool required, secret;
};

struct provider;
struct provider_class;
/* What `DRIVER` takes: its fields, limits, words.  NULL: no such driver. */
const struct provider_class *provider_class_find(const char *name);
const struct provider_class *provider_class_at(size_t i); /* NULL: the end. */

/* 'name' is a driver ("local"), 'config' its settings, secrets among them
 * (borrowed).  Does not touch the cloud.  0, or -errno with 'err' filled;
 * -ENOENT lists the drivers there are; -EINVAL names the field, one that is
 * missing or not in the driver's table. 'hooks' is copied; NULL: none.
 * In all calls a 'region' that is NULL is the settings' (the first of them),
 * but for provider_list. */
int provider_open(const char *name, const cJSON *config,
                  const struct provider_hooks *hooks, struct provider **ret,
                  struct sc_err *err) SC_MUST_CHECK;
void provider_close(struct provider *p); /* NULL is allowed. */
SC_CLEANUP(struct provider, provider_close)

/* Who the credential is, at the provider ("account 1234, user x"); malloc'd.
 * The cheapest call that proves it. */
int provider_check(struct provider *p, char **ret,
                   struct sc_err *err) SC_MUST_CHECK;
typedef int provider_each_region_fn(void *arg, const char *region);
int provider_regions(struct provider *p, provider_each_region_fn *fn, void *arg,
                     struct sc_err *err) SC_MUST_CHECK;
/* Uploads and registers; what was made is removed again if it fails for good
 * (not when the program is killed: then 'resume', or gc).  An image of the
 * same name and sha256 that is there already is the result. */
int provider_publish(struct provider *p, const struct provider_publish *q,
                     struct provider_image *ret,
                     struct sc_err *err) SC_MUST_CHECK;
int provider_launch(struct provider *p, const struct provider_launch *l,
                    struct provider_instance *ret,
                    struct sc_err *err) SC_MUST_CHECK;
/* Calls 'fn' for each instance until it returns non-0, which is returned.
 * 'region' NULL: all regions of the settings. */
typedef int provider_each_fn(void *arg, const struct provider_instance *i);
int provider_list(struct provider *p, const char *region, provider_each_fn *fn,
                  void *arg, struct sc_err *err) SC_MUST_CHECK;
/* Ends 'id' and frees all it cost.  An instance that is not there is 0. */
int provider_terminate(struct provider *p, const char *region, const char *id,
                       struct sc_err *err) SC_MUST_CHECK;
/* Powers 'id' off for certain: when this returns 0 it no longer runs. */
int provider_fence(struct provider *p, const char *region, const char *id,
                   struct sc_err *err) SC_MUST_CHECK;
typedef int provider_each_type_fn(void *arg, const struct provider_type *t);
/* The newest of 'id's serial log, malloc'd: at most PROVIDER_CONSOLE_MAX bytes
 * of it, from the beginning of a line on; "" if it has said nothing yet.  The
 * provider may be minutes behind.  It may hold secrets (a first password).
 * -ENOTSUP also where the provider keeps none of this instance. */
enum { PROVIDER_CONSOLE_MAX = 64 << 10 };
int provider_console(struct provider *p, const char *region, const char *id,
                     char **ret, struct sc_err *err) SC_MUST_CHECK;
int provider_types(struct provider *p, const char *region,
                   provider_each_type_fn *fn, void *arg,
                   struct sc_err *err) SC_MUST_CHECK;
/* 'type' NULL: all types.  What has no price API is not in the list. */
typedef int provider_each_price_fn(void *arg, const struct provider_price *t);
int provider_prices(struct provider *p, const char *region, const char *type,
                    provider_each_price_fn *fn, void *arg,
                    struct sc_err *err) SC_MUST_CHECK;
/* Everything at the provider that has 'cluster' on it. */
typedef int provider_each_resource_fn(void *arg,
                                      const struct provider_resource *r);
int provider_leftovers(struct provider *p, const char *cluster,
                       provider_each_resource_fn *fn, void *arg,
                       struct sc_err *err) SC_MUST_CHECK;
/* Removes one of them, and what only belongs to it.  Not there: 0. */
int provider_remove(struct provider *p, const char *kind, const char *region,
                    const char *id, struct sc_err *err) SC_MUST_CHECK;

/* For drivers: the hooks, safe to call whatever is NULL. */
void provider_progress(const struct provider *p, const char *stage,
                       uint64_t done, uint64_t total);
void provider_save(const struct provider *p, const cJSON *state);
bool provider_cancelled(const struct provider *p);

#endif

/* fake_providers - simulated clouds behind the fake cluster: their accounts,
 * images, instances, prices, leftovers; and what their nodes report.
 *
 * Part of the fake cluster (fake_cluster.h), with the same rules of threads
 * and ownership.  Shapes: docs/protocols/provider.md.  Nothing here talks to a
 * cloud.  What a name does, so that a test can have every case:
 *   a secret that begins "wrong"  the credential is refused (EACCES)
 *   account "broken-..." its cloud is not reached, except when it is added
 *   image "fail-..."     its publication fails and leaves a snapshot behind
 *   launch "fail-..."    the cloud has no capacity; a firewall stays behind
 *   launch "evict-..."   its node hears at once that it ends in two minutes
 *   launch "patch-..."   its node hears of maintenance in half an hour
 *   region "huge-..."    the user-data is too large for every provider */
#ifndef SC_TESTS_FAKE_PROVIDERS_H
#define SC_TESTS_FAKE_PROVIDERS_H

#include "tests/lib/fake_cluster.h"

/* NULL: not an operation of providers. */
fake_op *fake_provider_op_find(const char *op);
/* Moves a job whose kind begins "provider." on by the clock. */
void fake_provider_step(struct fake_cluster *f, cJSON *job);
/* Fills 'probes' and 'probed_at' of a node, by its provider. */
void fake_probe(cJSON *node);
/* Whether the node's provider has announced its end. */
bool fake_revoked(const cJSON *node);

/* --- inside: fake_catalog.c, fake_providers.c, fake_instances.c, fake_node.c,
 * fake_provider_jobs.c ----------------------------------------------------- */
struct fake_type {
    const char *driver, *name;
    int vcpus, memory_mib;
    bool nested, xen;
    double on_demand, spot; /* USD an hour; 0: not to be had so. */
};
struct fake_driver {
    const char *name, *image_format;
    double user_data_max;   /* bytes */
    const char *regions[5]; /* The first is the cheapest. */
};
extern const struct fake_type fake_types[];
extern const size_t fake_n_types;
const struct fake_driver *fake_driver_find(const char *name); /* NULL: none. */
cJSON *fake_drivers_json(void);
/* The driver of an account, which is known. */
const struct fake_driver *fake_driver_of(const cJSON *account);
/* 'err' -ENOENT lists what there is. */
int fake_region_check(const struct fake_driver *d, const char *region,
                      struct sc_err *err);
/* NULL and 'err' -ENOENT: the driver has no such type. */
const struct fake_type *fake_type_find(const struct fake_driver *d,
                                       const char *name, struct sc_err *err);
/* USD an hour; 'zone' 0 to 2 counts for spot alone. */
double fake_price(const struct fake_driver *d, const struct fake_type *t,
                  const char *region, int zone, bool spot);

/* An object of the list with its id made; in the list. */
cJSON *fake_add_object(struct fake_cluster *f, enum fake_list list);
/* The account that params' "id" names; NULL and 'err' filled. */
cJSON *fake_account(struct fake_cluster *f, const cJSON *p, struct sc_err *err);
/* The same for what its cloud has to be asked; it may not be reached. */
cJSON *fake_cloud(struct fake_cluster *f, const cJSON *p, struct sc_err *err);
/* Its image or instance of that id or name; NULL and 'err' filled. */
cJSON *fake_of_account(struct fake_cluster *f, enum fake_list list,
                       const cJSON *account, const char *what,
                       struct sc_err *err);
/* A job about 'o' (which then has it as its "job"), or about the account
 * itself (NULL); answers 202 {job}. */
cJSON *fake_provider_job(struct fake_cluster *f, const char *kind,
                         const cJSON *account, cJSON *o, const char *name,
                         int *status, cJSON **ret);
void fake_leave(struct fake_cluster *f, const cJSON *account, const char *kind,
                const char *name, const char *region, const char *detail);

extern fake_op fake_op_types, fake_op_prices, fake_op_regions;
extern fake_op fake_op_instances, fake_op_launch, fake_op_terminate,
    fake_op_fence, fake_op_instance_log, fake_op_gc;
extern fake_op fake_op_user_data, fake_op_job_cancel;

#endif

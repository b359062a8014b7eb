/* fake_cluster - a Supercloud in memory: the twin of the controller's core.
 *
 * An api_backend whose two regions, nodes, VMs, images, networks and jobs are
 * cJSON objects in lists; jobs move on by a timer.  For tests of the console,
 * the command line and the front end; never part of a product.
 * A VM whose name begins with "fail-" fails in the third step of its jobs.
 * Providers are simulated, too: see fake_providers.h for what their names do.
 * Everything runs on the loop's thread. */
#ifndef SC_TESTS_FAKE_CLUSTER_H
#define SC_TESTS_FAKE_CLUSTER_H

#include "api/api.h"

struct fake_cluster;
/* 'step_ms': how long a step of a job takes. */
int fake_cluster_new(struct sc_loop *loop, uint64_t step_ms,
                     struct fake_cluster **ret, struct sc_err *err);
void fake_cluster_free(struct fake_cluster *f);
SC_CLEANUP(struct fake_cluster, fake_cluster_free)
const struct api_backend *fake_cluster_backend(struct fake_cluster *f);
/* Where changes go; NULL: nowhere. */
void fake_cluster_set_api(struct fake_cluster *f, struct api *api);
int fake_cluster_add_user(struct fake_cluster *f, const char *user,
                          const char *role, const char *password,
                          struct sc_err *err);

/* --- inside: fake_cluster.c, fake_jobs.c, fake_ops.c --------------------- */
enum fake_list {
    FAKE_NODES,
    FAKE_VMS,
    FAKE_IMAGES,
    FAKE_NETWORKS,
    FAKE_JOBS,
    FAKE_TOKENS,
    FAKE_USERS,
    FAKE_SESSIONS,
    FAKE_PROVIDERS,
    FAKE_PUBLISHED, /* Images at providers. */
    FAKE_INSTANCES, /* Not told to event streams, as in the real one. */
    FAKE_RESOURCES, /* What interrupted work left at providers. */
    FAKE_N_LISTS,
};
struct fake_cluster {
    struct sc_loop *loop;
    struct api *api;
    struct api_backend backend;
    uint64_t step_ms;
    cJSON *lists[FAKE_N_LISTS]; /* Arrays, oldest first. */
    struct sc_source *job_timer, *beat_timer;
    struct api_console *consoles;
    unsigned n_ips;
    double wan_in, wan_out;
};

const char *fake_str(const cJSON *o, const char *key); /* "" if absent. */
double fake_num(const cJSON *o, const char *key);
void fake_set_str(cJSON *o, const char *key, const char *value);
void fake_set_strf(cJSON *o, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void fake_set_num(cJSON *o, const char *key, double value);
void fake_set_null(cJSON *o, const char *key);
/* By 'id' or unique name; NULL and 'err' -ENOENT "KIND 'x': not found". */
cJSON *fake_find(struct fake_cluster *f, enum fake_list list, const char *what,
                 struct sc_err *err);
/* Tells the event streams that 'o' changed ('gone': was removed). */
void fake_changed(struct fake_cluster *f, enum fake_list list, const cJSON *o,
                  bool gone);
void fake_remove(struct fake_cluster *f, enum fake_list list, cJSON *o);
void fake_free_memory(struct fake_cluster *f); /* Counts it anew per node. */

/* Begins a job on VM 'vm'; '*ret' is in the list.  -EBUSY: it has one. */
int fake_job_begin(struct fake_cluster *f, const char *kind, cJSON *vm,
                   const char *to_node, cJSON **ret, struct sc_err *err);
void fake_jobs_step(void *cluster); /* The timer. */
/* A job in the list, its first step running; not announced yet.  'steps' ends
 * with NULL. */
cJSON *fake_job_new(struct fake_cluster *f, const char *kind,
                    const char *object_id, const char *object_name,
                    const char *const steps[]);
void fake_job_log(cJSON *job, const char *step, const char *text);
/* The step of 'job' that runs; '*ret_at' is its index. */
cJSON *fake_job_running_step(const cJSON *job, int *ret_at);
/* How far that step is after 'step_ms'; 1 and more: over.  Below 1 the job's
 * progress follows, and is announced. */
double fake_job_part(struct fake_cluster *f, cJSON *job, double step_ms);
/* Ends the running step and begins the next; false: it was the last. */
bool fake_job_next(struct fake_cluster *f, cJSON *job);
/* Ends the job, well or ('why') not, and announces it. */
void fake_job_end(struct fake_cluster *f, cJSON *job, const char *why);
/* fake_cancel.c: whether it may be cancelled now, in the job itself; and the
 * end of one that is. */
void fake_cancel_note(cJSON *job);
void fake_cancel_step(struct fake_cluster *f, cJSON *job);
/* A node that has just joined, up, with its probes. */
cJSON *fake_node_add(struct fake_cluster *f, const char *name,
                     const char *region, const char *provider,
                     const char *address);

/* One operation: 0 and '*ret' (owned by the caller), '*status'; or -errno. */
typedef int fake_op(struct fake_cluster *f, const struct api_caller *who,
                    const cJSON *params, int *status, cJSON **ret,
                    struct sc_err *err);
fake_op *fake_op_find(const char *op); /* NULL: unknown. */

#endif

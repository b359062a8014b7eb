/* providers - the accounts at first-layer clouds: their credentials, the images
 * published there, the instances launched there; and calls of their drivers.
 *
 * Private to daemons/controller.  A driver blocks and holds the credential, so
 * each call is one run of sc-provider (worker.h, behind ctl_env).  A secret is
 * sealed in memory and store alike (secrets.h), opened only to be handed to a
 * run, and is in nothing that is answered, logged or kept in a job.
 * Source: docs/protocols/provider.md. */
#ifndef SC_CONTROLLER_PROVIDERS_H
#define SC_CONTROLLER_PROVIDERS_H

#include "controller/jobs.h"
#include "controller/ops.h"

enum {
    PROVIDER_ID = 256, /* A cloud's own name for a thing. */
    PROVIDER_TOKEN = 64,
    PROVIDER_QUERY_MS = 45000, /* Less than an API call may take. */
    PROVIDER_CONFIG_MAX = 64 << 10,
};

struct account {
    char id[OBJ_ID], name[OBJ_NAME], driver[OBJ_NAME];
    cJSON *config; /* Owned.  Without the secrets. */
    char *sealed;  /* Owned.  The secrets' JSON; NULL: there are none. */
    char identity[OBJ_TEXT], error[OBJ_TEXT];
    bool failed; /* The credential was refused last. */
    uint64_t created_at, checked_at;
};
void account_free(struct account *a); /* NULL is allowed. */
SC_CLEANUP(struct account, account_free)

struct published {
    char id[OBJ_ID], account[OBJ_ID], name[OBJ_NAME], region[OBJ_NAME];
    enum published_state state;
    char image_id[PROVIDER_ID]; /* The provider's; "": none yet. */
    char file[PROVIDER_ID], format[16], sha256[65], boot[16], distro[OBJ_NAME];
    uint64_t size, virtual_size, created_at;
    cJSON *options;  /* Owned.  The driver's own; NULL: none. */
    char path[4096]; /* Of the uploaded file; "": none. */
    char error[OBJ_TEXT], job[OBJ_ID];
    char token[PROVIDER_TOKEN]; /* What its making was tagged with. */
    uint64_t received;          /* Not stored. */
};
void published_free(struct published *p); /* NULL is allowed. */
SC_CLEANUP(struct published, published_free)
void published_move(struct published *p, enum published_state to);

/* An instance we launched and have not ended. */
struct launched {
    char key[OBJ_ID]; /* In the store. */
    char account[OBJ_ID], id[PROVIDER_ID], region[OBJ_NAME], name[OBJ_NAME];
    char token[PROVIDER_TOKEN], job[OBJ_ID];
    char node[OBJ_ID]; /* The node it became; "": none yet. */
    uint64_t created_at;
};

/* --- records (providers.c) --------------------------------------------------
 */

struct account *ctl_account_find(struct ctl *ctl, const char *id_or_name);
/* An image of 'account' by our id, name, or the provider's id; the one in
 * 'region' first ("": any). */
struct published *ctl_published_find(struct ctl *ctl, const char *account,
                                     const char *wanted, const char *region);
struct launched *ctl_launched_find(struct ctl *ctl, const char *account,
                                   const char *id);
struct launched *ctl_launched_of_node(struct ctl *ctl, const char *node_id);
void ctl_put_account(struct ctl_txn *x, const struct account *a);
void ctl_put_published(struct ctl_txn *x, const struct published *p);
/* Announces its account. */
void ctl_put_launched(struct ctl_txn *x, const struct launched *l);
/* Take out of the lists and the store, and free. */
void ctl_drop_account(struct ctl *ctl, struct ctl_txn *x, struct account *a);
void ctl_drop_published(struct ctl *ctl, struct ctl_txn *x,
                        struct published *p);
void ctl_drop_launched(struct ctl *ctl, struct ctl_txn *x, struct launched *l);
/* 'given', or if that is "" the first region of the account's settings. */
int account_region(const struct account *a, const char *given,
                   char ret[OBJ_NAME], struct sc_err *err) SC_MUST_CHECK;
cJSON *ctl_account_json(const struct account *a); /* The API's form. */
cJSON *ctl_published_json(const struct published *p);
int ctl_account_load(struct ctl *ctl, const char *key, const cJSON *j,
                     struct sc_err *err);
int ctl_published_load(struct ctl *ctl, const char *key, const cJSON *j,
                       struct sc_err *err);
int ctl_launched_load(struct ctl *ctl, const char *key, const cJSON *j,
                      struct sc_err *err);
/* After loading: uploads that were cut off by our end, files nobody needs. */
void ctl_providers_begin(struct ctl *ctl);
/* Which job works on an account's things; NULL: none. */
const struct job *ctl_account_job(struct ctl *ctl, const char *account);

/* --- drivers and calls (provider_call.c) -------------------------------------
 */

/* Fetches what `sc-provider drivers` says, once; 'fn' runs exactly once, at
 * once or later; 'err' NULL: ctl->drivers is there. */
typedef void ctl_drivers_fn(void *arg, const struct sc_err *err);
void ctl_drivers(struct ctl *ctl, ctl_drivers_fn *fn, void *arg);
const cJSON *ctl_driver(struct ctl *ctl, const char *name); /* NULL: none. */
/* Are these the driver's settings and secrets, each in its place?  Names the
 * field at fault, never a value.  Pure. */
int driver_check_fields(const cJSON *driver, const cJSON *config,
                        const cJSON *secret, struct sc_err *err) SC_MUST_CHECK;

/* Seal and open a secret text (secrets.h) with the controller's key. */
int ctl_seal(struct ctl *ctl, const char *name, const char *text, char **ret,
             struct sc_err *err) SC_MUST_CHECK;
int ctl_unseal(struct ctl *ctl, const char *name, const char *sealed,
               char **ret, struct sc_err *err) SC_MUST_CHECK;
/* Seals 'secret' (an object; NULL or empty: none) into 'a'. */
int account_seal(struct ctl *ctl, struct account *a, const cJSON *secret,
                 struct sc_err *err) SC_MUST_CHECK;
/* Begins 'call'; 'args' is taken, 'token' and 'resume' may be NULL.  0: 'done'
 * will run exactly once, never from inside.  Else -errno with 'err' filled. */
int account_call(struct ctl *ctl, const struct account *a, const char *call,
                 cJSON *args, const char *token, const cJSON *resume,
                 uint64_t timeout_ms, ctl_worker_line_fn *line,
                 rpc_done_fn *done, void *arg,
                 struct sc_err *err) SC_MUST_CHECK;
/* What the end of a call says about the credential; stored if it is new. */
void account_heard(struct ctl *ctl, const char *account,
                   const struct sc_err *err);

/* The same inside a step of a job: progress becomes the step's detail (seldom
 * announced), what is to be saved goes to 'save' at once, 'fn' gets the answer
 * unless the step has ended. */
typedef void job_save_fn(struct ctl *ctl, struct job *job, const cJSON *state);
void job_provider_call(struct ctl *ctl, struct job *job, const char *account,
                       const char *call, cJSON *args, const char *token,
                       const cJSON *resume, uint64_t timeout_ms,
                       job_save_fn *save, job_answer_fn *fn);
/* A step's 'cancel': its run is told to stop, upon which it undoes what it made
 * and ends, and with it the step; without a run the step ends at once. */
void job_provider_cancel(struct ctl *ctl, struct job *job);
/* Ends the step with 'err', or tries it again if that may help (a few times).
 */
void job_provider_failed(struct ctl *ctl, struct job *job,
                         const struct sc_err *err);
/* While undoing: tries again and returns true; or, after a while or when it
 * cannot succeed, notes in the job's log that the rest is left to gc: then the
 * undo must go on without it. */
bool job_provider_undo_again(struct ctl *ctl, struct job *job,
                             const struct sc_err *err);
/* Ends the step (an undo) after removing whatever is tagged with the job. */
void job_provider_sweep(struct ctl *ctl, struct job *job, const char *account);

/* Of 'resources' (an array of RESOURCE) what nothing known here needs, with
 * "why" (gc.h); the caller's. */
cJSON *ctl_gc(struct ctl *ctl, const cJSON *resources);

/* --- operations -------------------------------------------------------------
 */

/* An operation that goes on after a call: the op_call without what was
 * borrowed, and its params as a copy. */
struct provider_op {
    struct op_call c;
    cJSON *params; /* Owned. */
    char account[OBJ_ID];
    void (*next)(struct provider_op *q); /* Owns 'q'. */
    struct account *draft;               /* Owned. */
    bool is_update;
    char user[OBJ_NAME]; /* Who asked. */
};
struct provider_op *provider_op_new(struct op_call *c); /* NULL: failed. */
void provider_op_free(struct provider_op *q);           /* NULL is allowed. */
SC_CLEANUP(struct provider_op, provider_op_free)
/* The account that params' "id" names; NULL: the call was failed. */
struct account *op_account(struct op_call *c);
/* 'fn' when the drivers are known; or 'q' is failed and freed. */
void provider_op_with_drivers(struct provider_op *q,
                              void (*fn)(struct provider_op *q));

extern const struct job_kind provider_publish_job, provider_image_delete_job,
    provider_launch_job, provider_terminate_job, provider_fence_job,
    provider_gc_job;

#endif

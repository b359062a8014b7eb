/* job - a long operation as a list of steps that survives the controller.
 *
 * The pure part: the state machine and its stored form.  Who runs the steps is
 * jobs.h.  Each step is persisted before it runs and after; each is safe to
 * repeat, so after a crash the step that was running runs again.  A step that
 * fails makes the job roll back: the failed step and those before it are
 * undone, last first (also safe to repeat), then the job has failed.
 * A cancelled job is one whose step is made to fail with -ECANCELED, and that
 * ends in a state of its own; that it was asked for is stored first, so that a
 * restart in between changes nothing.
 * Units: _at ms since 1970. */
#ifndef SC_CONTROLLER_JOB_H
#define SC_CONTROLLER_JOB_H

#include "model/objects.h"

enum { JOB_STEPS_MAX = 12, JOB_LOG_MAX = 200, JOB_DETAIL = 256 };

struct ctl;
struct ctl_txn;
struct job;
/* Begins the step; it ends by exactly one of jobs.h's job_ok, job_failed,
 * job_again, from inside or later. */
typedef void job_step_fn(struct ctl *ctl, struct job *job);
/* Asks another machine, which alone knows, whether 'job' may be cancelled
 * still. True: 'done' runs exactly once, later; false: nobody needs to be
 * asked. */
typedef void job_asked_fn(void *arg, const struct sc_err *err);
typedef bool job_ask_fn(struct ctl *ctl, struct job *job, job_asked_fn *done,
                        void *arg);
struct job_step_kind {
    const char *name;
    job_step_fn *run;
    job_step_fn *undo; /* NULL: nothing to undo. */
    unsigned weight;   /* Share of the job's progress; 0 counts as 1. */
    /* Makes what 'run' began end soon, with job_failed; also after a restart,
     * instead of 'run'.  NULL: the step fails at once, 'undo' does the rest. */
    job_step_fn *cancel;
    const char *late; /* Why it is too late from this step on; or NULL. */
};
struct job_kind {
    const char *name;                          /* "vm.create" */
    struct job_step_kind steps[JOB_STEPS_MAX]; /* Ends with a NULL name. */
    /* Once, when the job has ended, before that is stored: the objects get
     * their final states in the same commit.  May be NULL. */
    void (*ended)(struct ctl *ctl, struct job *job, struct ctl_txn *x, bool ok);
    const char *fixed;   /* Why such a job is never cancelled; or NULL. */
    job_ask_fn *ask;     /* May be NULL. */
    const char *cancels; /* What becomes of the object; for people. */
};

struct job_step {
    enum step_state state;
    uint64_t started_at, ended_at;
    char detail[JOB_DETAIL];
};
struct job {
    const struct job_kind *kind;
    char id[OBJ_ID], object_id[OBJ_ID], object_name[OBJ_NAME];
    enum job_state state;
    int error_code; /* -errno, 0 */
    char error[OBJ_TEXT];
    uint64_t started_at, ended_at;
    uint64_t cancel_at; /* Its cancelling was asked for; 0: it was not. */
    char cancel_by[OBJ_NAME];
    unsigned percent; /* Of the running step, 0..100; not stored. */
    size_t n_steps;
    struct job_step steps[JOB_STEPS_MAX];
    cJSON *data;   /* Owned.  What the steps must remember. */
    cJSON *result; /* Owned. */
    cJSON *log;    /* Owned.  Array of {at, text}. */
    /* Not stored: */
    uint64_t run;      /* Counts beginnings of steps: late answers differ. */
    uint64_t retry_at; /* ms; 0: not waiting to try again. */
    bool active;       /* Its step was begun in this life of the program. */
    void *call;        /* Its run of sc-provider; provider_call.c's. */
};

/* NULL: out of memory.  'data' is taken. */
struct job *job_new(const struct job_kind *kind, const char *object_id,
                    const char *object_name, cJSON *data, uint64_t now);
void job_free(struct job *job); /* NULL is allowed. */
SC_CLEANUP(struct job, job_free)

/* Which step is to run (forward) or to be undone (state ROLLING_BACK): its
 * index, or -1: nothing is left, job_end is due. */
int job_current(const struct job *job);
bool job_ended(const struct job *job);
/* The moves.  Each asserts that it is allowed. */
void job_begin_step(struct job *job, uint64_t now);
void job_finish_step(struct job *job, uint64_t now);
void job_fail_step(struct job *job, const struct sc_err *err, uint64_t now);
void job_finish_undo(struct job *job, uint64_t now);
void job_end(struct job *job, uint64_t now); /* DONE, FAILED or CANCELLED. */
/* May it be cancelled now?  0, also if it is being cancelled; -EALREADY: it has
 * ended; -EBUSY: never for its kind, too late, or it failed by itself. */
int job_may_cancel(const struct job *job, struct sc_err *err);
/* That it is to be cancelled, or (too late) that it is not. */
void job_set_cancel(struct job *job, const char *by, uint64_t now);
void job_drop_cancel(struct job *job);
/* Is it to be cancelled, and still runs forward? */
bool job_cancelling(const struct job *job);
/* What its step fails with then. */
void job_cancel_err(const struct job *job, struct sc_err *ret);
unsigned job_progress(const struct job *job); /* 0..100 */
void job_add_log(struct job *job, uint64_t now, const char *fmt, ...)
    SC_PRINTF(3, 4);

/* The form of docs/protocols/api.md; 'stored' adds what only a restart needs.
 * 'kinds' (NULL-ended) gives the steps back their functions.
 * from_json: -EINVAL, -ENOENT (a kind or a step that is not in 'kinds'). */
cJSON *job_to_json(const struct job *job, bool stored);
int job_from_json(const cJSON *j, const struct job_kind *const kinds[],
                  struct job **ret, struct sc_err *err) SC_MUST_CHECK;

#endif

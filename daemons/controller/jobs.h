/* jobs - runs jobs: one step after the other, each persisted before and after;
 * takes up after a restart what was running.
 *
 * Private to daemons/controller.  A step is begun by its job_step_fn and ends
 * with one of job_ok, job_failed, job_again.  Answers that come late, after
 * the step has ended, are dropped. */
#ifndef SC_CONTROLLER_JOBS_H
#define SC_CONTROLLER_JOBS_H

#include "controller/ctl.h"

extern const struct job_kind vm_create_job, vm_start_job, vm_stop_job,
    vm_delete_job, vm_migrate_job, image_delete_job;
extern const struct job_kind *const job_kinds[]; /* NULL-ended. */

/* Makes a job inside 'x' (so that it and what it works on appear together).
 * It begins when job_go is called after the commit.  NULL: out of memory, 'x'
 * was failed.  'data' is taken. */
struct job *job_add(struct ctl *ctl, struct ctl_txn *x,
                    const struct job_kind *kind, const char *object_id,
                    const char *object_name, cJSON *data);
void job_go(struct ctl *ctl, struct job *job);
void jobs_resume(struct ctl *ctl); /* At start. */
void jobs_run(struct ctl *ctl);    /* Retries that are due. */

/* Cancels 'job' for user 'by': stores that it is asked for, then lets its step
 * fail.  'done' runs exactly once, at once or later: NULL: it will end as
 * cancelled (or already was being cancelled; or, if the machine that decides
 * cannot be asked just now, as soon as that can be); else why not, as
 * job_may_cancel says it. */
void job_cancel(struct ctl *ctl, struct job *job, const char *by,
                job_asked_fn *done, void *arg);
/* Ends the step of a job that is being cancelled: it rolls back. */
void job_give_up(struct ctl *ctl, struct job *job);

/* The end of a step, or of its undoing. */
void job_ok(struct ctl *ctl, struct job *job);
/* The same inside a transaction of the step's own, which it commits. */
void job_ok_txn(struct ctl *ctl, struct job *job, struct ctl_txn *x);
/* Forward: the job rolls back.  While undoing there is no giving up: the undo
 * runs again after a while. */
void job_failed(struct ctl *ctl, struct job *job, const struct sc_err *err);
void SC_PRINTF(4, 5) job_failedf(struct ctl *ctl, struct job *job, int code,
                                 const char *fmt, ...);
/* The same step again in 'delay_ms'; 'why' is shown as its detail. */
void SC_PRINTF(4, 5) job_again(struct ctl *ctl, struct job *job,
                               uint64_t delay_ms, const char *why, ...);

/* True if the program is connected.  Else the step runs again soon; or, after
 * 'patience_ms' in this step, it fails (0: never gives up). */
bool job_need(struct ctl *ctl, struct job *job, uint16_t nid,
              enum ctl_program program, uint64_t patience_ms);
/* Calls a node; 'fn' gets the answer, unless the step has ended by then. */
typedef void job_answer_fn(struct ctl *ctl, struct job *job,
                           const cJSON *result, const struct sc_err *err);
void job_call(struct ctl *ctl, struct job *job, uint16_t nid,
              enum ctl_program program, const char *method, cJSON *params,
              uint64_t timeout_ms, job_answer_fn *fn);
/* Did the call perhaps not reach the other side, or its answer not us? */
bool job_lost(const struct sc_err *err);
/* Lost, or "not now" (-EAGAIN, -EBUSY): worth asking again. */
bool job_transient(const struct sc_err *err);
/* Asks again soon; after 'patience_ms' in this step it fails with 'err'. */
void job_retry(struct ctl *ctl, struct job *job, uint64_t patience_ms,
               const struct sc_err *err);

void job_note(struct ctl *ctl, struct job *job, const char *fmt, ...)
    SC_PRINTF(3, 4); /* A line of its log. */
/* Numbers and texts in job->data; 0 and "" if absent. */
uint64_t job_u64(const struct job *job, const char *key);
const char *job_str(const struct job *job, const char *key);
void job_set_u64(struct job *job, const char *key, uint64_t v);
void job_set_str(struct job *job, const char *key, const char *v);

/* --- what VM jobs share (vm_job.c) --------------------------------------- */

struct vm *job_vm(struct ctl *ctl, const struct job *job);
/* Moves 'v'; a move the table does not allow is a bug of ours. */
void vm_move(struct vm *v, enum vm_state to);
cJSON *vm_spec_json(struct ctl *ctl, const struct vm *v, uint32_t epoch);
/* The migration that 'v' is in hears that it runs at 'nid' with 'epoch'. */
void vm_migrate_seen(struct ctl *ctl, struct vm *v, uint16_t nid,
                     uint32_t epoch);
void vm_migrate_progress(struct ctl *ctl, struct vm *v, const char *phase,
                         const cJSON *params);

#endif

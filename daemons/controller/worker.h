/* worker - runs of sc-provider: one process a call, spoken to by pipes.
 *
 * Used by sc-controller, whose loop never blocks while a driver talks to its
 * cloud.  A run is given its request on standard input, says progress and what
 * to save on standard output, one JSON document a line, and ends with a result
 * or an error (docs/protocols/provider.md).  It gets a clean environment and no
 * descriptor of ours.  Loop thread.
 * Cancelled, or over its time: SIGTERM, upon which a driver undoes what it
 * made, then SIGKILL.  When the controller ends it is SIGKILL at once: every
 * call can be made again.
 * Errors given to 'done': those of the run itself; -ETIMEDOUT, -ECANCELED;
 * -EPROTO (what it says is not the protocol); -EIO (it died); -EAGAIN (too many
 * runs at once); -ENOENT ... (it cannot be started). */
#ifndef SC_CONTROLLER_WORKER_H
#define SC_CONTROLLER_WORKER_H

#include "common/loop.h"

#include <cjson/cJSON.h>

enum { WORKERS_MAX = 24, WORKER_LINE_MAX = 16 << 20 }; /* runs; bytes */

struct worker_pool;
struct worker;
/* 'program': path of sc-provider, copied; NULL: beside this program's own
 * file.  0 or -errno with 'err' filled. */
int worker_pool_new(struct sc_loop *loop, const char *program,
                    struct worker_pool **ret, struct sc_err *err) SC_MUST_CHECK;
/* Kills what runs; every 'done' still runs, with -ESHUTDOWN. */
void worker_pool_free(struct worker_pool *p); /* NULL is allowed. */
SC_CLEANUP(struct worker_pool, worker_pool_free)

/* {"progress": ...} or {"save": ...}; 'line' is borrowed. */
typedef void worker_line_fn(void *arg, const cJSON *line);
/* The end, exactly once, never from inside worker_start: 'result' (borrowed),
 * or err->code. */
typedef void worker_done_fn(void *arg, const cJSON *result,
                            const struct sc_err *err);
/* Runs "sc-provider worker" with 'request' (taken, wiped); 'line' NULL: not
 * wanted.  With 'request' NULL it is "sc-provider drivers", the result its
 * array.  Returns the run, for worker_cancel until 'done'; NULL: never begun
 * ('done' will say why). */
struct worker *worker_start(struct worker_pool *p, cJSON *request,
                            uint64_t timeout_ms, worker_line_fn *line,
                            worker_done_fn *done, void *arg);
void worker_cancel(struct worker *w); /* 'done' follows: -ECANCELED. */
/* The run that was begun with 'arg'; NULL: there is none, or it has ended. */
struct worker *worker_find(struct worker_pool *p, const void *arg);

/* Overwrites every text of 'j' before it is freed: it held secrets. */
void worker_wipe(cJSON *j);

#endif

/* qmp - a client of QEMU's machine protocol over a Unix socket.
 *
 * Used by the qemu driver alone.  Runs on the loop's thread, never blocks.
 * JSON documents, a line each; replies are matched by id, events are handed
 * on.  A line is at most QMP_LINE_MAX bytes.
 * Source: QEMU docs/interop/qmp-spec.txt (7.2). */
#ifndef SC_QMP_H
#define SC_QMP_H

#include "common/err.h"
#include "common/loop.h"

#include <cjson/cJSON.h>

enum { QMP_LINE_MAX = 1 << 20, QMP_PENDING_MAX = 64 };

struct qmp;
struct qmp_events {
    void (*up)(void *arg); /* Greeted; commands may follow. */
    void (*event)(void *arg, const char *name, const cJSON *data); /* data may
                                                                 be NULL. */
    /* The connection is over; pending commands were failed -ECONNRESET.  The
     * callee may free the qmp. */
    void (*down)(void *arg);
};
/* Connects to a socket that is listened on already (connect does not block
 * then).  'events' is borrowed.  0 or -errno. */
int qmp_open(struct sc_loop *loop, const char *path,
             const struct qmp_events *events, void *arg, struct qmp **ret,
             struct sc_err *err) SC_MUST_CHECK;
void qmp_free(struct qmp *q); /* Forgets what is pending.  NULL allowed. */
SC_CLEANUP(struct qmp, qmp_free)

/* 'result' is NULL exactly if err->code != 0 (QEMU's text: -EIO). */
typedef void qmp_done_fn(void *arg, const cJSON *result,
                         const struct sc_err *err);
/* 'params' (NULL allowed) is taken; 'done' (NULL allowed) runs once, later.
 * 'fd' >= 0 is sent along and stays the caller's. */
void qmp_command(struct qmp *q, const char *name, cJSON *params, int fd,
                 qmp_done_fn *done, void *arg);

#endif

/* sse - server-sent events: one ring of recent events, any number of readers.
 *
 * The loop's thread publishes; each event stream is a worker thread that waits
 * for what it has not sent yet.  A reader that was too slow, or comes back with
 * a Last-Event-ID that is too old (or of an earlier run), gets one event
 * "reset": it must fetch everything anew.  Memory is bounded by the ring.
 * Thread-safe.
 * Source: https://html.spec.whatwg.org/multipage/server-sent-events.html */
#ifndef SC_HTTP_SSE_H
#define SC_HTTP_SSE_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SSE_RING = 1024,          /* events */
    SSE_RING_BYTES = 8 << 20, /* bytes */
};

/* "id: ID\nevent: EVENT\ndata: ...\n\n"; 'data' is split at its newlines.
 * malloc'd; NULL out of memory. */
char *sse_format(const char *id, const char *event,
                 const char *data) SC_MUST_CHECK;

struct sse_hub;
struct sse_reader;
/* 'run' makes ids of different runs differ; at most 'max_readers' at once. */
int sse_hub_new(uint64_t run, unsigned max_readers, struct sse_hub **ret);
/* Wakes the readers (they get -ESHUTDOWN) and lets no new ones in. */
void sse_hub_close(struct sse_hub *hub);
/* When no reader is left.  NULL is allowed. */
void sse_hub_free(struct sse_hub *hub);
SC_CLEANUP(struct sse_hub, sse_hub_free)
int sse_publish(struct sse_hub *hub, const char *event, const char *data);

/* 'last_id': the client's Last-Event-ID, or NULL.  -EAGAIN: too many. */
int sse_reader_new(struct sse_hub *hub, const char *last_id,
                   struct sse_reader **ret) SC_MUST_CHECK;
void sse_reader_free(struct sse_reader *r);
SC_CLEANUP(struct sse_reader, sse_reader_free)
/* The next event, formatted (malloc'd '*ret'), waiting up to 'timeout_ms'.
 * 0, -ETIMEDOUT, -ESHUTDOWN, -ENOMEM. */
int sse_next(struct sse_reader *r, uint64_t timeout_ms, char **ret);

#endif

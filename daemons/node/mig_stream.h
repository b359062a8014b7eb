/* mig_stream - the pump between a hypervisor's memory stream and a link.
 *
 * Out: engine socket -> (zstd) -> DATA frames, only while the link has room.
 * In: DATA frames -> (zstd) -> engine socket, holding the link while the
 * engine is slow.  No byte is copied that need not be: uncompressed data goes
 * from the socket straight into the link's buffer.  Loop thread. */
#ifndef SC_NODE_MIG_STREAM_H
#define SC_NODE_MIG_STREAM_H

#include "common/err.h"
#include "common/loop.h"
#include "node/migconn.h"

#include <stdbool.h>

struct mig_stream;
/* Makes a socket pair; '*ret_engine_fd' (blocking) is for the hypervisor. */
int mig_stream_new(struct sc_loop *loop, int *ret_engine_fd,
                   struct mig_stream **ret, struct sc_err *err) SC_MUST_CHECK;
void mig_stream_free(struct mig_stream *s); /* NULL is allowed. */
SC_CLEANUP(struct mig_stream, mig_stream_free)

/* Begins to pump out; 'eof' once, when the engine has closed its end and all
 * is in the link's queue. */
int mig_stream_out(struct mig_stream *s, struct mig_conn *conn,
                   void (*eof)(void *arg), void *arg,
                   struct sc_err *err) SC_MUST_CHECK;
void mig_stream_room(struct mig_stream *s); /* The link has room again. */
/* Takes one DATA frame.  'broken' (set by mig_stream_in) is told later when
 * the engine stopped reading. */
int mig_stream_in(struct mig_stream *s, struct mig_conn *conn,
                  struct sc_err *err) SC_MUST_CHECK;
int mig_stream_data(struct mig_stream *s, const struct mig_frame *f,
                    struct sc_err *err) SC_MUST_CHECK;
/* END came: the engine sees the end of its stream once it has read all. */
void mig_stream_end(struct mig_stream *s);
/* The link is gone: 'in' closes the engine's stream, 'out' goes nowhere. */
void mig_stream_cut(struct mig_stream *s);
uint64_t mig_stream_bytes(const struct mig_stream *s); /* Uncompressed. */

#endif

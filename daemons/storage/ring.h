/* ring - io.h over io_uring, and the socket operations of the NBD server.
 *
 * The data path: what is begun while completions are handled is submitted in
 * one system call, which also waits for the next ones for a moment before the
 * daemon's loop is asked again.  The loop's thread only; nothing blocks but
 * the operations that io.h says are done at once.
 * The only file that includes liburing.h.  Source: io_uring(7). */
#ifndef SC_STORAGE_RING_H
#define SC_STORAGE_RING_H

#include "common/err.h"
#include "common/loop.h"
#include "storage/io.h"

#include <sys/socket.h>

struct ring;
int ring_new(struct sc_loop *loop, struct ring **ret,
             struct sc_err *err) SC_MUST_CHECK;
void ring_free(struct ring *r); /* NULL is allowed. */
SC_CLEANUP(struct ring, ring_free)
struct io *ring_io(struct ring *r);

/* As the operations of io.h; 'msg' and all it points to stay the caller's. */
void ring_recv(struct ring *r, struct io_op *op, int fd, void *buf,
               size_t size);
void ring_recvmsg(struct ring *r, struct io_op *op, int fd, struct msghdr *msg);
void ring_sendmsg(struct ring *r, struct io_op *op, int fd,
                  const struct msghdr *msg);
void ring_accept(struct ring *r, struct io_op *op, int fd);
/* Any file at any offset (no alignment wanted): importing and exporting. */
void ring_read_fd(struct ring *r, struct io_op *op, int fd, void *buf,
                  uint32_t size, uint64_t offset);
void ring_write_fd(struct ring *r, struct io_op *op, int fd, const void *buf,
                   uint32_t size, uint64_t offset);
void ring_fsync_fd(struct ring *r, struct io_op *op, int fd);
/* Ends 'op' early, with -ECANCELED, if it is still waiting. */
void ring_cancel(struct ring *r, struct io_op *op);
/* Runs 'fn' once, after the completions at hand were handled and before what
 * they began is submitted; asking twice is asking once. */
struct ring_later {
    void (*fn)(struct ring_later *l);
    struct ring_later *next;
    bool queued;
};
void ring_defer(struct ring *r, struct ring_later *l);
void ring_forget(struct ring *r, struct ring_later *l);
/* Outside of the loop, when it has ended: submits, waits for something to
 * complete, at most 'ms', and handles it. */
void ring_turn(struct ring *r, unsigned ms);
struct ring_counters {
    uint64_t enters, ops;
};
struct ring_counters ring_counters(const struct ring *r);

#endif

/* loop - the one event loop of a daemon: sd-event behind a few calls.
 *
 * One thread owns the loop and all of the daemon's state; nothing called from
 * it blocks.  Only sc_loop_post and sc_loop_stop may be called from other
 * threads (civetweb's workers, checksum threads); sc_loop_post's function
 * then runs on the loop's thread.
 * Units: milliseconds on CLOCK_MONOTONIC.  A callback may free its own source.
 * sc-network runs libopenvswitch's poll loop instead and drives this one from
 * it by sc_loop_fd and sc_loop_run_once. */
#ifndef SC_COMMON_LOOP_H
#define SC_COMMON_LOOP_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sc_loop;
struct sc_source; /* A timer, fd or child; owned by who made it. */
struct sd_event;

/* SIGTERM and SIGINT stop the loop ('signals' true; one loop of a process).
 * SIGPIPE does nothing.  Neither is blocked nor ignored: programs started from
 * here have the default dispositions.  0, or -errno with 'err' filled. */
int sc_loop_new(bool signals, struct sc_loop **ret,
                struct sc_err *err) SC_MUST_CHECK;
/* Functions posted and not yet run never will.  NULL is allowed. */
void sc_loop_free(struct sc_loop *loop);
SC_CLEANUP(struct sc_loop, sc_loop_free)

/* Runs until sc_loop_stop or a signal; tells systemd READY=1 first, feeds its
 * watchdog, and STOPPING=1 at the end.  Returns 0 or -errno. */
int sc_loop_run(struct sc_loop *loop);
/* One turn: dispatches what is ready, waiting up to 'timeout_ms' (0: not at
 * all, -1: without end).  False once the loop was stopped. */
bool sc_loop_run_once(struct sc_loop *loop, int timeout_ms);
int sc_loop_fd(struct sc_loop *loop);    /* Readable when run_once has work. */
void sc_loop_stop(struct sc_loop *loop); /* Any thread. */
uint64_t sc_loop_now_ms(struct sc_loop *loop);
struct sd_event *sc_loop_event(struct sc_loop *loop); /* Borrowed. */

typedef void sc_fn(void *arg);
typedef void sc_fd_fn(void *arg, int fd, uint32_t events);  /* EPOLL* bits. */
typedef void sc_child_fn(void *arg, pid_t pid, int status); /* As waitpid's. */

/* Calls 'fn' once, or every 'period_ms' if that is not 0, first after
 * 'after_ms'.  '*ret' is the caller's; a one-shot source stays allocated until
 * freed.  0 or -errno. */
int sc_loop_add_timer(struct sc_loop *loop, uint64_t after_ms,
                      uint64_t period_ms, sc_fn *fn, void *arg,
                      struct sc_source **ret) SC_MUST_CHECK;
/* Level triggered.  'events' may be changed with sc_source_set_events.  The fd
 * stays the caller's and must outlive the source. */
int sc_loop_add_fd(struct sc_loop *loop, int fd, uint32_t events, sc_fd_fn *fn,
                   void *arg, struct sc_source **ret) SC_MUST_CHECK;
int sc_loop_add_child(struct sc_loop *loop, pid_t pid, sc_child_fn *fn,
                      void *arg, struct sc_source **ret) SC_MUST_CHECK;
int sc_source_set_events(struct sc_source *s, uint32_t events);
void sc_source_free(struct sc_source *s); /* NULL is allowed. */
SC_CLEANUP(struct sc_source, sc_source_free)

/* Runs fn(arg) on the loop's thread, in order of posting.  Any thread.
 * 0, or -ENOMEM / -ESHUTDOWN (the loop ended): then fn will never run. */
int sc_loop_post(struct sc_loop *loop, sc_fn *fn, void *arg) SC_MUST_CHECK;

uint64_t sc_wall_ms(void); /* CLOCK_REALTIME, ms since 1970. */
uint64_t sc_mono_ms(void); /* CLOCK_MONOTONIC. */

#endif

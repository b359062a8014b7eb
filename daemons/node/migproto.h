/* migproto - who may run a guest that migrates: both ends' state machines.
 *
 * Pure: (state, event) -> (state, actions).  No I/O, no clock; the shells
 * (mig_out.c, mig_in.c) do the actions, in ascending order of their bits, and
 * report what came of them as events.  Every event is allowed in every state;
 * one that does not fit is ignored, or ends the migration if a peer sent it.
 *
 * The rule: until the source has durably written "given away" the guest is the
 * source's, and a broken link makes it go on there.  Afterwards the source runs
 * it again only when the destination has durably promised never to (ABORT after
 * READY is such a promise, and so is what the controller learnt by
 * vm.migrate_cancel).  The destination runs it only after COMMIT and after it
 * has durably written "mine".
 * Source: docs/protocols/migration.md, docs/protocols/rpc.md "Migration". */
#ifndef SC_NODE_MIGPROTO_H
#define SC_NODE_MIGPROTO_H

#include <stdbool.h>
#include <stdint.h>

/* --- source ------------------------------------------------------------------
 */
/* State, its name for vm.migrate_query, and what is durably written. */
#define SRC_STATES(S)                                                          \
    S(CONNECTING, "sending")                                                   \
    S(STREAMING, "sending")   /* Until handed over and the last byte sent. */  \
    S(WAIT_READY, "sending")  /* END sent. */                                  \
    S(GIVING, "sending")      /* "given" is being written. */                  \
    S(GIVEN, "uncertain")     /* COMMIT sent. */                               \
    S(UNCERTAIN, "uncertain") /* Link lost after that: nobody runs it here. */ \
    S(TAKING_BACK, "uncertain") /* "sending" is being written over "given". */ \
    S(ABORTING, "sending")      /* Making it go on here. */                    \
    S(RESUMED, "resumed")       /* The end: it goes on here. */                \
    S(RELEASING, "released")    /* It runs there; cleaning up. */              \
    S(RELEASED, "released")     /* The end. */
#define S(id, text) SRC_##id,
enum src_state { SRC_STATES(S) SRC_N_STATES };
#undef S

enum src_event {
    SRC_E_LINK_UP,
    SRC_E_WELCOME,
    SRC_E_ENGINE_STOPPED, /* Guest suspended, disks quiet. */
    SRC_E_ENGINE_DONE,    /* Last byte is in the link's queue. */
    SRC_E_ENGINE_FAILED,  /* The engine ended; the guest runs on here. */
    SRC_E_HANDED_OVER,
    SRC_E_HANDOVER_FAILED,
    SRC_E_READY,
    SRC_E_RUNNING,
    SRC_E_ABORT, /* The destination promises never to run it. */
    SRC_E_LINK_LOST,
    SRC_E_WRITTEN,
    SRC_E_WRITE_FAILED,
    SRC_E_THAWED,
    SRC_E_GUEST_RESUMED,
    SRC_E_GUEST_GONE, /* Destroyed, or died. */
    SRC_E_VOLUMES_RELEASED,
    SRC_E_GIVE_UP,         /* Somebody here wants it to stay. */
    SRC_E_RESOLVE_RESUME,  /* The controller: the destination never will. */
    SRC_E_RESOLVE_RELEASE, /* The controller: the destination runs it. */
    SRC_N_EVENTS,
};
enum {
    SRC_A_WRITE_GIVEN = 1 << 0,   /* then WRITTEN or WRITE_FAILED */
    SRC_A_WRITE_SENDING = 1 << 1, /* then WRITTEN or WRITE_FAILED */
    SRC_A_WRITE_RESUMED = 1 << 2, /* best effort; repeated after a restart */
    SRC_A_WRITE_RELEASING = 1 << 3,
    SRC_A_WRITE_RELEASED = 1 << 4,
    SRC_A_SEND_HELLO = 1 << 5,
    SRC_A_START_ENGINE = 1 << 6,
    SRC_A_SEND_STOPPED = 1 << 7,
    SRC_A_HANDOVER = 1 << 8,
    SRC_A_SEND_HANDED_OVER = 1 << 9,
    SRC_A_SEND_END = 1 << 10,
    SRC_A_SEND_COMMIT = 1 << 11,
    SRC_A_SEND_ABORT = 1 << 12,
    SRC_A_CLOSE = 1 << 13,        /* the link */
    SRC_A_ABORT_ENGINE = 1 << 14, /* then ENGINE_DONE or ENGINE_FAILED */
    SRC_A_THAW = 1 << 15,         /* repeated until THAWED */
    SRC_A_RESUME = 1 << 16,       /* then GUEST_RESUMED or GUEST_GONE */
    SRC_A_DESTROY = 1 << 17,      /* then GUEST_GONE */
    SRC_A_RELEASE = 1 << 18,      /* repeated until VOLUMES_RELEASED */
    SRC_A_REPORT_UNCERTAIN = 1 << 19,
    SRC_A_REPORT_RESUMED = 1 << 20,
    SRC_A_REPORT_RELEASED = 1 << 21,
};
struct mig_src {
    enum src_state state;
    bool link;    /* Up. */
    bool engine;  /* Started and not over. */
    bool stopped; /* The guest is suspended (or will be found so). */
    bool handing; /* Hand-over was begun: a thaw is needed to go on. */
    bool handed;
    bool complete; /* The engine is done. */
    bool thawed;
    bool gone; /* The guest died meanwhile: nothing to resume. */
};
unsigned mig_src_step(struct mig_src *m, enum src_event e);
/* As after a restart of sc-node with "sending" ('given' false) or "given"
 * durably written: the first actions. */
unsigned mig_src_restart(struct mig_src *m, bool given);
const char *mig_src_state_name(enum src_state s);

/* --- destination ---------------------------------------------------------- */
#define DST_STATES(S)                                                          \
    S(PREPARED, "preparing")                                                   \
    S(RECEIVING, "receiving")                                                  \
    S(READY, "ready")        /* READY sent, not committed. */                  \
    S(TAKING, "ready")       /* "mine" is being written. */                    \
    S(CANCELLING, "ready")   /* "cancelled" is being written. */               \
    S(ACTIVATING, "running") /* It is ours; volumes first. */                  \
    S(RESUMING, "running")                                                     \
    S(RUNNING, "running")     /* The end. */                                   \
    S(CANCELLED, "cancelled") /* The end: never runs here. */
#define S(id, text) DST_##id,
enum dst_state { DST_STATES(S) DST_N_STATES };
#undef S

enum dst_event {
    DST_E_HELLO, /* With the right ticket. */
    DST_E_STOPPED,
    DST_E_HANDED_OVER,
    DST_E_END,
    DST_E_COMMIT,
    DST_E_ABORT,
    DST_E_LINK_LOST,
    DST_E_ENGINE_DONE, /* The stream is complete, the guest paused. */
    DST_E_ENGINE_FAILED,
    DST_E_WRITTEN,
    DST_E_WRITE_FAILED,
    DST_E_ACTIVATED,
    DST_E_RESUMED,
    DST_E_GUEST_GONE,
    DST_E_TIMEOUT, /* Nobody came. */
    DST_E_CANCEL,  /* vm.migrate_cancel. */
    DST_N_EVENTS,
};
enum {
    DST_A_WRITE_MINE = 1 << 0,      /* then WRITTEN or WRITE_FAILED */
    DST_A_WRITE_CANCELLED = 1 << 1, /* then WRITTEN or WRITE_FAILED */
    DST_A_SEND_WELCOME = 1 << 2,
    DST_A_SEND_READY = 1 << 3,
    DST_A_ACTIVATE = 1 << 4, /* repeated until ACTIVATED */
    DST_A_RESUME = 1 << 5,   /* then RESUMED or GUEST_GONE */
    DST_A_SEND_RUNNING = 1 << 6,
    DST_A_SEND_ABORT = 1 << 7,
    DST_A_CLOSE = 1 << 8,
    DST_A_CLEANUP = 1 << 9, /* Destroy the guest, drop volumes and ports. */
    DST_A_REPORT_RUNNING = 1 << 10,
    DST_A_REPORT_STOPPED = 1 << 11, /* It is ours but the guest is lost. */
};
struct mig_dst {
    enum dst_state state;
    bool link;
    bool complete; /* The engine has the whole stream. */
    bool handed, end;
};
unsigned mig_dst_step(struct mig_dst *m, enum dst_event e);
/* As after a restart with "mine" durably written. */
unsigned mig_dst_restart_mine(struct mig_dst *m);
const char *mig_dst_state_name(enum dst_state s);

#endif

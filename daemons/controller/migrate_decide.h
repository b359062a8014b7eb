/* migrate_decide - whose is a VM in the middle of a migration?
 *
 * Pure: from what source and destination say of one migration
 * (vm.migrate_query, vm.migrate_cancel), what the controller must do next.  The
 * promises it rests on are in docs/protocols/rpc.md: the source never runs the
 * guest again once it sent COMMIT unless the destination has promised never to
 * run it; the destination never runs it before COMMIT; both promises are
 * durable. Any number of mistakes by this function cannot make two run as long
 * as the nodes keep theirs; it decides only how soon one does. */
#ifndef SC_CONTROLLER_MIGRATE_DECIDE_H
#define SC_CONTROLLER_MIGRATE_DECIDE_H

#include <stdbool.h>

#define MIGRATE_SIDES(S)                                                       \
    S(UNREACHABLE, "unreachable") /* Does not answer. */                       \
    S(UNKNOWN, "unknown")         /* Never heard of this migration. */         \
    S(SENDING, "sending")         /* Source, from here: */                     \
    S(UNCERTAIN, "uncertain")                                                  \
    S(RESUMED, "resumed")                                                      \
    S(RELEASED, "released")                                                    \
    S(PREPARING, "preparing") /* Destination, from here: */                    \
    S(RECEIVING, "receiving")                                                  \
    S(READY, "ready")                                                          \
    S(RUNNING, "running")                                                      \
    S(CANCELLED, "cancelled")
#define S(id, text) SIDE_##id,
enum migrate_side { MIGRATE_SIDES(S) SIDE_N };
#undef S

enum migrate_action {
    MIGRATE_WAIT,    /* Ask again later. */
    MIGRATE_FORWARD, /* The destination has it: finish. */
    MIGRATE_CANCEL,  /* Ask the destination for its promise, then decide. */
    MIGRATE_RESUME,  /* The source has it; tell it so; roll back. */
    MIGRATE_BACK,    /* The source has it and knows; roll back. */
};

/* 'source_runs': a heartbeat of the source, after the trouble began, showed
 * the guest running there with its old epoch.  'cancel': a user wants it to
 * stay; then a transfer that goes well is not waited for either. */
enum migrate_action migrate_decide(enum migrate_side source,
                                   enum migrate_side destination,
                                   bool source_runs, bool cancel);
/* UNREACHABLE for a text that is not in the table. */
enum migrate_side migrate_side_parse(const char *text);
const char *migrate_side_name(enum migrate_side side);

#endif

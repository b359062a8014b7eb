/* states - the states of VMs, nodes, images, jobs and steps as data: names and
 * the moves that are allowed.
 *
 * Used by sc-controller, which makes no move but through *_state_may.  Pure,
 * thread-safe.  Source of the names: docs/protocols/api.md. */
#ifndef SC_MODEL_STATES_H
#define SC_MODEL_STATES_H

#include <stdbool.h>

/* UNKNOWN: its node does not answer; whatever it was, it may still be. */
#define VM_STATES(S)                                                           \
    S(PENDING, "pending",                                                      \
      VM_(STARTING) | VM_(STOPPED) | VM_(FAILED) | VM_(DELETING))              \
    S(STARTING, "starting",                                                    \
      VM_(RUNNING) | VM_(STOPPED) | VM_(FAILED) | VM_(UNKNOWN) |               \
          VM_(DELETING))                                                       \
    S(RUNNING, "running",                                                      \
      VM_(MIGRATING) | VM_(STOPPING) | VM_(STOPPED) | VM_(FAILED) |            \
          VM_(UNKNOWN) | VM_(DELETING))                                        \
    S(MIGRATING, "migrating",                                                  \
      VM_(RUNNING) | VM_(STOPPED) | VM_(FAILED) | VM_(UNKNOWN))                \
    S(STOPPING, "stopping",                                                    \
      VM_(STOPPED) | VM_(RUNNING) | VM_(FAILED) | VM_(UNKNOWN) |               \
          VM_(DELETING))                                                       \
    S(STOPPED, "stopped", VM_(PENDING) | VM_(DELETING))                        \
    S(DELETING, "deleting", VM_(FAILED) | VM_(UNKNOWN))                        \
    S(FAILED, "failed", VM_(PENDING) | VM_(STOPPED) | VM_(DELETING))           \
    S(UNKNOWN, "unknown",                                                      \
      VM_(RUNNING) | VM_(MIGRATING) | VM_(STOPPING) | VM_(STOPPED) |           \
          VM_(FAILED) | VM_(DELETING))

/* JOINING: has its certificate, has never said hello. */
#define NODE_STATES(S)                                                         \
    S(JOINING, "joining", NODE_(UP))                                           \
    S(UP, "up", NODE_(DOWN))                                                   \
    S(DOWN, "down", NODE_(UP))

#define IMAGE_STATES(S)                                                        \
    S(QUEUED, "queued", IMAGE_(UPLOADING) | IMAGE_(DELETING))                  \
    S(UPLOADING, "uploading", IMAGE_(ACTIVE) | IMAGE_(DELETING))               \
    S(ACTIVE, "active", IMAGE_(DELETING))                                      \
    S(DELETING, "deleting", 0)

/* An image at a provider, from the manifest to what can be launched there. */
#define PUBLISHED_STATES(S)                                                    \
    S(QUEUED, "queued",                                                        \
      PUBLISHED_(UPLOADING) | PUBLISHED_(FAILED) | PUBLISHED_(DELETING))       \
    S(UPLOADING, "uploading",                                                  \
      PUBLISHED_(QUEUED) | PUBLISHED_(PUBLISHING) | PUBLISHED_(FAILED))        \
    S(PUBLISHING, "publishing", PUBLISHED_(ACTIVE) | PUBLISHED_(FAILED))       \
    S(ACTIVE, "active", PUBLISHED_(DELETING))                                  \
    S(FAILED, "failed", PUBLISHED_(QUEUED) | PUBLISHED_(DELETING))             \
    S(DELETING, "deleting", PUBLISHED_(ACTIVE) | PUBLISHED_(FAILED))

#define JOB_STATES(S)                                                          \
    S(RUNNING, "running", JOB_(DONE) | JOB_(FAILED) | JOB_(ROLLING_BACK))      \
    S(ROLLING_BACK, "rolling-back",                                            \
      JOB_(FAILED) | JOB_(RUNNING) | JOB_(CANCELLED))                          \
    S(DONE, "done", 0)                                                         \
    S(FAILED, "failed", 0)                                                     \
    S(CANCELLED, "cancelled", 0)

#define STEP_STATES(S)                                                         \
    S(WAITING, "waiting", STEP_(RUNNING))                                      \
    S(RUNNING, "running", STEP_(DONE) | STEP_(FAILED))                         \
    S(DONE, "done", STEP_(UNDONE))                                             \
    S(FAILED, "failed", STEP_(UNDONE))                                         \
    S(UNDONE, "undone", 0)

/* Declares enum x_state and its functions.
 * x_state_name: the JSON name.  x_state_parse: false for a name that is not in
 * the table.  x_state_may: is the move allowed?  Staying always is. */
#define SC_STATE_DECLARE(type)                                                 \
    const char *type##_state_name(enum type##_state s);                        \
    bool type##_state_parse(const char *name, enum type##_state *ret);         \
    bool type##_state_may(enum type##_state from, enum type##_state to);

#define S(id, text, next) VM_##id,
enum vm_state { VM_STATES(S) VM_N_STATES };
#undef S
#define S(id, text, next) NODE_##id,
enum node_state { NODE_STATES(S) NODE_N_STATES };
#undef S
#define S(id, text, next) IMAGE_##id,
enum image_state { IMAGE_STATES(S) IMAGE_N_STATES };
#undef S
#define S(id, text, next) PUBLISHED_##id,
enum published_state { PUBLISHED_STATES(S) PUBLISHED_N_STATES };
#undef S
#define S(id, text, next) JOB_##id,
enum job_state { JOB_STATES(S) JOB_N_STATES };
#undef S
#define S(id, text, next) STEP_##id,
enum step_state { STEP_STATES(S) STEP_N_STATES };
#undef S

SC_STATE_DECLARE(vm)
SC_STATE_DECLARE(node)
SC_STATE_DECLARE(image)
SC_STATE_DECLARE(published)
SC_STATE_DECLARE(job)
SC_STATE_DECLARE(step)

#endif

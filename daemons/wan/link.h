/* link - one direction of an emulated WAN path: when does a frame arrive, or
 * is it lost.
 *
 * Used by wan.c (one per ordered pair of attachments) and its tests.  Pure: the
 * caller gives the time and the randomness.  Not thread-safe.
 * Units: nanoseconds on any one monotonic clock, bytes, bits per second;
 * loss in parts per million.
 * Model: a serialising link of 'rate_bps' with a drop-tail queue of
 * LINK_QUEUE_NS of traffic, then a fixed delay plus a uniform jitter; frames
 * never overtake each other.  This is emulation, not a real network. */
#ifndef SC_WAN_LINK_H
#define SC_WAN_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINK_LOSS_ONE = 1000000 };  /* ppm: every frame is lost. */
#define LINK_QUEUE_NS 200000000ull /* Queue: 200 ms at full rate. */

struct link_params {
    uint64_t delay_ns;  /* One way. */
    uint64_t jitter_ns; /* 0 to this is added. */
    uint32_t loss_ppm;
    uint64_t rate_bps; /* 0: no limit. */
    bool partitioned;  /* Nothing passes; counted as dropped. */
};

/* By the TCP or UDP port, whichever end is one of ours. */
enum link_class {
    LINK_MEMORY,  /* 7482: migration streams. */
    LINK_DISK,    /* 7480: block store. */
    LINK_CONTROL, /* 7443, 6653, 8443. */
    LINK_OVERLAY, /* 4789: VXLAN. */
    LINK_OTHER,
    LINK_N_CLASSES
};
extern const char *const link_class_names[LINK_N_CLASSES];

struct link {
    struct link_params p;
    uint64_t busy_until;   /* ns; when the last frame has left the queue. */
    uint64_t last_arrival; /* ns; nothing arrives before this. */
    uint64_t bytes[LINK_N_CLASSES], frames;                  /* Passed on. */
    uint64_t dropped_loss, dropped_queue, dropped_partition; /* frames */
};

enum link_fate { LINK_PASS, LINK_LOST, LINK_QUEUE_FULL, LINK_CUT };
/* Decides the fate of a frame of 'size' bytes offered at 'now' with 64 random
 * bits, and counts it.  LINK_PASS: '*ret_at' (>= now) is its arrival. */
enum link_fate link_offer(struct link *l, uint64_t now, size_t size,
                          enum link_class c, uint64_t random, uint64_t *ret_at);

/* The class of an Ethernet frame; short or foreign frames are LINK_OTHER. */
enum link_class link_classify(const uint8_t *frame, size_t size);

#endif

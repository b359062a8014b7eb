/* of_msg - between our values and OpenFlow messages.
 *
 * Used by of_server.c.  Pure.  Messages returned are the caller's.
 * Source: libopenvswitch's ofp-*.h. */
#ifndef SC_NETWORK_OF_MSG_H
#define SC_NETWORK_OF_MSG_H

#include "network/network.h"

struct ofpbuf;
struct ofp_header;

/* A flow_mod.  Delete is strict.  NULL with 'err': a flow of ours does not
 * parse, which is a bug of ours. */
struct ofpbuf *of_msg_flow(const struct net_flow *f, bool add, int version,
                           struct sc_err *err) SC_MUST_CHECK;
/* A packet_out with in_port CONTROLLER. */
struct ofpbuf *of_msg_packet(const char *actions, const void *frame,
                             size_t size, int version,
                             struct sc_err *err) SC_MUST_CHECK;
struct ofpbuf *of_msg_features(int version);
struct ofpbuf *of_msg_ports(int version);
struct ofpbuf *of_msg_dump(int version);
struct ofpbuf *of_msg_barrier(int version);

/* The fields of a FLOW_PAIR; false: 'h' tells of something else. */
struct of_pair {
    uint32_t vni;
    struct mac src, dst;
    bool idle; /* flow_removed: it went by its idle time-out. */
};
bool of_msg_removed(const struct ofp_header *h, struct of_pair *ret);
/* 'ret->frame' points into '*ret_frame', which the caller frees. */
int of_msg_packet_in(const struct ofp_header *h, struct net_packet_in *ret,
                     void **ret_frame) SC_MUST_CHECK;

/* --- what a switch has, against what it shall have ----------------------- */
struct of_dump; /* Flows gathered from flow stats replies. */
struct of_dump *of_dump_new(void);
void of_dump_free(struct of_dump *d); /* NULL is allowed. */
SC_CLEANUP(struct of_dump, of_dump_free)
/* Adds one reply.  0 or -EPROTO. */
int of_dump_add(struct of_dump *d, const struct ofp_header *h) SC_MUST_CHECK;
/* Calls 'fn' for each FLOW_PAIR; false from it: not wanted any more. */
void of_dump_pairs(struct of_dump *d,
                   bool (*fn)(void *arg, const struct of_pair *p), void *arg);
/* Calls 'send' with the messages (given away) that make the switch have
 * 'wanted': adds first, then deletes.  Flows that end by themselves soon
 * (FORWARD, DROP) and pairs that of_dump_pairs' 'fn' knew are left.  Returns
 * how many messages, or -EINVAL with 'err': a wanted flow does not parse. */
int of_dump_diff(struct of_dump *d, const struct flow_list *wanted, int version,
                 void (*send)(void *arg, struct ofpbuf *msg), void *arg,
                 struct sc_err *err);

#endif

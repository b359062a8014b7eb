/* notices - asks the instance's metadata service what the provider is going to
 * do with it, and tells whoever wants to know.
 *
 * One per sc-node.  Runs on the loop and blocks nothing.  What is found is
 * told at once, again after each notices_again (a controller that is there
 * anew), and taken back with kind "none".
 * Source: docs/protocols/provider.md; notice.h decides. */
#ifndef SC_NODE_NOTICES_H
#define SC_NODE_NOTICES_H

#include "common/loop.h"
#include "node/notice.h"

struct notices;
struct notices_options {
    struct sc_loop *loop;
    const char *metadata; /* As in the configuration: "ec2" ... */
    const char *endpoint; /* HOST:PORT; "": the service's own. */
    /* 'params' of node.notice; taken. */
    void (*tell)(void *arg, cJSON *params);
    void *arg;
};
/* 0; -EINVAL, -EACCES: the endpoint; -ENOMEM. */
int notices_new(const struct notices_options *o, struct notices **ret,
                struct sc_err *err) SC_MUST_CHECK;
void notices_free(struct notices *n); /* NULL is allowed. */
SC_CLEANUP(struct notices, notices_free)

/* Tells what is known once more; nothing if nothing is known yet, or there is
 * no service to ask. */
void notices_again(struct notices *n);
/* For daemon.status: {"service", "known", "notice"}. */
cJSON *notices_status(const struct notices *n);

#endif

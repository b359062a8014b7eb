/* How: received bytes gather in one buffer; a message is cut off it when its
 * header's length is there.  What is to be sent waits in a list. */
#include <config.h>

#include "network/of_conn.h"

#include <errno.h>
#include <string.h>

#include "openflow/openflow.h"
#include "openvswitch/list.h"
#include "openvswitch/ofp-msgs.h"
#include "openvswitch/ofp-util.h"
#include "openvswitch/ofpbuf.h"
#include "openvswitch/poll-loop.h"
#include "stream.h"
#include "timeval.h"

struct of_conn {
    struct stream *stream; /* Owned. */
    struct ovs_list out;   /* struct ofpbuf. */
    size_t out_size;
    uint8_t *in; /* OpenFlow messages are at most 65,535 bytes. */
    size_t in_size;
    bool connected, closing;
    int version; /* 0: no hello yet. */
    long long heard_at, probed_at;
};

enum {
    IN_MAX = 1 << 16,
    VERSIONS = 1u << OFP13_VERSION | 1u << OFP14_VERSION | 1u << OFP15_VERSION,
};

struct of_conn *of_conn_new(struct stream *s)
{
    struct of_conn *c = xzalloc(sizeof *c);
    c->stream = s;
    c->in = xmalloc(IN_MAX);
    c->heard_at = time_msec();
    ovs_list_init(&c->out);
    of_conn_send(c, ofputil_encode_hello(VERSIONS));
    return c;
}

void of_conn_free(struct of_conn *c)
{
    if (!c)
        return;
    stream_close(c->stream);
    ofpbuf_list_delete(&c->out);
    free(c->in);
    free(c);
}

static int flush(struct of_conn *c)
{
    while (!ovs_list_is_empty(&c->out)) {
        struct ofpbuf *m = ofpbuf_from_list(c->out.next);
        int n = stream_send(c->stream, m->data, m->size);
        if (n == -EAGAIN)
            return 0;
        if (n < 0)
            return n;
        c->out_size -= (size_t)n;
        ofpbuf_pull(m, (size_t)n);
        if (m->size)
            return 0;
        ovs_list_remove(&m->list_node);
        ofpbuf_delete(m);
    }
    return 0;
}

/* 0 when the buffer is full or all that is there was read. */
static int fill(struct of_conn *c)
{
    while (c->in_size < IN_MAX) {
        int n = stream_recv(c->stream, c->in + c->in_size, IN_MAX - c->in_size);
        if (n == -EAGAIN)
            return 0;
        if (n <= 0)
            return n ? n : -ECONNRESET;
        c->in_size += (size_t)n;
        c->heard_at = time_msec();
    }
    return 0;
}

int of_conn_run(struct of_conn *c)
{
    long long now = time_msec();
    stream_run(c->stream);
    if (!c->connected) {
        int r = stream_connect(c->stream);
        if (r == EAGAIN)
            return now > c->heard_at + OF_DEAD_MS ? -ETIMEDOUT : 0;
        if (r)
            return -r;
        c->connected = true;
    }
    int r = flush(c);
    if (r == 0)
        r = fill(c);
    if (r == 0 && c->out_size > OF_OUT_MAX)
        r = -ENOBUFS;
    if (r == 0 && c->closing)
        r = -EPROTO;
    if (r == 0 && now > c->heard_at + OF_DEAD_MS)
        r = -ETIMEDOUT;
    if (r == 0 && c->version && now > c->heard_at + OF_PROBE_MS &&
        now > c->probed_at + OF_PROBE_MS) {
        c->probed_at = now;
        of_conn_send(c,
                     ofputil_encode_echo_request((enum ofp_version)c->version));
    }
    return r;
}

void of_conn_flush(struct of_conn *c)
{
    if (c->connected && flush(c) < 0)
        c->closing = true;
}

void of_conn_wait(struct of_conn *c)
{
    stream_run_wait(c->stream);
    if (!c->connected) {
        stream_connect_wait(c->stream);
    } else {
        stream_recv_wait(c->stream);
        if (!ovs_list_is_empty(&c->out))
            stream_send_wait(c->stream);
    }
    poll_timer_wait(OF_PROBE_MS / 2);
}

/* Messages that are the connection's own business.  True: 'm' was one. */
static bool handle(struct of_conn *c, const struct ofp_header *h)
{
    uint32_t theirs;
    if (!c->version) {
        if (h->type != 0 || !ofputil_decode_hello(h, &theirs) ||
            !(theirs & VERSIONS)) {
            c->closing = true;
            return true;
        }
        for (int v = OFP15_VERSION; v >= OFP13_VERSION && !c->version; v--)
            c->version = theirs & VERSIONS & 1u << v ? v : 0;
        return true;
    }
    switch (h->type) { /* The same numbers in every version. */
    case 0:            /* OFPT_HELLO */
    case 3:            /* OFPT_ECHO_REPLY */
        return true;
    case 2: /* OFPT_ECHO_REQUEST */
        of_conn_send(c, ofputil_encode_echo_reply(h));
        return true;
    default:
        return false;
    }
}

struct ofpbuf *of_conn_recv(struct of_conn *c)
{
    while (!c->closing && c->in_size >= sizeof(struct ofp_header)) {
        struct ofp_header h;
        struct ofpbuf *m;
        memcpy(&h, c->in, sizeof h);
        size_t size = ntohs(h.length);
        if (size < sizeof h ||
            (c->version && h.version != c->version && h.type > 3)) {
            c->closing = true;
            break;
        }
        if (c->in_size < size)
            break;
        m = ofpbuf_clone_data(c->in, size);
        memmove(c->in, c->in + size, c->in_size -= size);
        if (!handle(c, m->data))
            return m;
        ofpbuf_delete(m);
    }
    return NULL;
}

void of_conn_send(struct of_conn *c, struct ofpbuf *msg)
{
    ofpmsg_update_length(msg);
    c->out_size += msg->size;
    ovs_list_push_back(&c->out, &msg->list_node);
}

int of_conn_version(const struct of_conn *c)
{
    return c->version;
}

const char *of_conn_peer(const struct of_conn *c)
{
    return stream_get_peer_id(c->stream);
}

const char *of_conn_name(const struct of_conn *c)
{
    return stream_get_name(c->stream);
}

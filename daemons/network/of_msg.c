/* How: flows are parsed from their text by libopenvswitch's own parser, so the
 * text in a log or a test can be given to ovs-ofctl as it is. */
#include <config.h>

#include "network/of_msg.h"

#include <string.h>

#include "byte-order.h"
#include "flow.h"
#include "hash.h"
#include "openflow/openflow.h"
#include "openvswitch/hmap.h"
#include "openvswitch/match.h"
#include "openvswitch/ofp-actions.h"
#include "openvswitch/ofp-flow.h"
#include "openvswitch/ofp-monitor.h"
#include "openvswitch/ofp-msgs.h"
#include "openvswitch/ofp-packet.h"
#include "openvswitch/ofp-parse.h"
#include "openvswitch/ofp-port.h"
#include "openvswitch/ofp-util.h"
#include "openvswitch/ofpbuf.h"

static enum ofputil_protocol protocol_of(int version)
{
    return ofputil_protocol_from_ofp_version((enum ofp_version)version);
}

/* 'fm' must be given to release() after 0. */
static int parse(const struct net_flow *f, bool add,
                 struct ofputil_flow_mod *fm, struct sc_err *err)
{
    enum ofputil_protocol usable;
    char text[FLOW_TEXT_MAX];
    if (add)
        flow_text(f, text);
    else
        flow_key_text(f, text);
    char *why = parse_ofp_flow_mod_str(
        fm, text, NULL, NULL, add ? OFPFC_ADD : OFPFC_DELETE_STRICT, &usable);
    if (why) {
        int r = sc_fail(err, -EINVAL, "flow '%s': %s", text, why);
        free(why);
        return r;
    }
    return 0;
}

static void release(struct ofputil_flow_mod *fm)
{
    free(fm->ofpacts);
    minimatch_destroy(&fm->match);
}

struct ofpbuf *of_msg_flow(const struct net_flow *f, bool add, int version,
                           struct sc_err *err)
{
    struct ofputil_flow_mod fm;
    if (parse(f, add, &fm, err) < 0)
        return NULL;
    struct ofpbuf *m = ofputil_encode_flow_mod(&fm, protocol_of(version));
    release(&fm);
    return m;
}

struct ofpbuf *of_msg_packet(const char *actions, const void *frame,
                             size_t size, int version, struct sc_err *err)
{
    uint64_t space[256 / 8];
    struct ofpbuf ofpacts = OFPBUF_STUB_INITIALIZER(space);
    enum ofputil_protocol usable = OFPUTIL_P_ANY;
    struct ofpact_parse_params params = { .ofpacts = &ofpacts,
                                          .usable_protocols = &usable };
    char *why = ofpacts_parse_actions(actions, &params);
    struct ofpbuf *m = NULL;
    if (why) {
        sc_fail(err, -EINVAL, "actions '%s': %s", actions, why);
        free(why);
    } else {
        struct ofputil_packet_out po = { .packet = frame,
                                         .packet_len = size,
                                         .buffer_id = UINT32_MAX,
                                         .ofpacts = ofpacts.data,
                                         .ofpacts_len = ofpacts.size };
        match_init_catchall(&po.flow_metadata);
        match_set_in_port(&po.flow_metadata, OFPP_CONTROLLER);
        m = ofputil_encode_packet_out(&po, protocol_of(version));
    }
    ofpbuf_uninit(&ofpacts);
    return m;
}

struct ofpbuf *of_msg_features(int version)
{
    return ofpraw_alloc(OFPRAW_OFPT_FEATURES_REQUEST, (uint8_t)version, 0);
}

struct ofpbuf *of_msg_ports(int version)
{
    return ofputil_encode_port_desc_stats_request((enum ofp_version)version,
                                                  OFPP_ANY);
}

struct ofpbuf *of_msg_dump(int version)
{
    struct ofputil_flow_stats_request q = { .out_port = OFPP_ANY,
                                            .out_group = OFPG_ANY,
                                            .table_id = OFPTT_ALL };
    match_init_catchall(&q.match);
    return ofputil_encode_flow_stats_request(&q, protocol_of(version));
}

struct ofpbuf *of_msg_barrier(int version)
{
    return ofputil_encode_barrier_request((enum ofp_version)version);
}

static enum flow_kind kind_of(ovs_be64 cookie)
{
    uint64_t c = ntohll(cookie);
    return (c & ~UINT64_C(0xff)) == FLOW_COOKIE ? (enum flow_kind)(c & 0xff)
                                                : 0;
}

static struct mac mac_of(const struct eth_addr *a)
{
    struct mac m;
    memcpy(m.b, a, 6);
    return m;
}

static struct of_pair pair_of(const struct match *m)
{
    return (struct of_pair){
        .vni = (uint32_t)ntohll(m->flow.tunnel.tun_id),
        .src = mac_of(&m->flow.dl_src),
        .dst = mac_of(&m->flow.dl_dst),
    };
}

bool of_msg_removed(const struct ofp_header *h, struct of_pair *ret)
{
    struct ofputil_flow_removed fr;
    if (ofputil_decode_flow_removed(&fr, h) || kind_of(fr.cookie) != FLOW_PAIR)
        return false;
    *ret = pair_of(&fr.match);
    ret->idle = fr.reason == OFPRR_IDLE_TIMEOUT;
    return true;
}

int of_msg_packet_in(const struct ofp_header *h, struct net_packet_in *ret,
                     void **ret_frame)
{
    struct ofputil_packet_in pin;
    size_t total;
    uint32_t buffer_id;
    if (ofputil_decode_packet_in(h, true, NULL, NULL, &pin, &total, &buffer_id,
                                 NULL))
        return -EPROTO;
    *ret_frame = xmemdup(pin.packet, pin.packet_len);
    *ret = (struct net_packet_in){
        .in_port = ofp_to_u16(pin.flow_metadata.flow.in_port.ofp_port),
        .tun_id = (uint32_t)ntohll(pin.flow_metadata.flow.tunnel.tun_id),
        .kind = kind_of(pin.cookie),
        .frame = *ret_frame,
        .size = pin.packet_len,
    };
    return 0;
}

/* --- dumps ---------------------------------------------------------------- */

struct have {
    struct hmap_node node; /* By match_hash of 'match' with the priority. */
    struct match match;
    uint16_t priority, idle_s, hard_s;
    uint8_t table;
    ovs_be64 cookie;
    struct ofpact *ofpacts; /* Owned. */
    size_t ofpacts_len;
    bool keep;
};

struct of_dump {
    struct hmap flows;
};

struct of_dump *of_dump_new(void)
{
    struct of_dump *d = xmalloc(sizeof *d);
    hmap_init(&d->flows);
    return d;
}

void of_dump_free(struct of_dump *d)
{
    struct have *h = NULL;
    if (!d)
        return;
    HMAP_FOR_EACH_POP(h, node, &d->flows) {
        free(h->ofpacts);
        free(h);
    }
    hmap_destroy(&d->flows);
    free(d);
}

static uint32_t key_hash(const struct match *m, uint8_t table,
                         uint16_t priority)
{
    return match_hash(m, (uint32_t)table << 16 | priority);
}

int of_dump_add(struct of_dump *d, const struct ofp_header *h)
{
    struct ofpbuf msg = ofpbuf_const_initializer(h, ntohs(h->length));
    uint64_t space[1024 / 8];
    struct ofpbuf ofpacts = OFPBUF_STUB_INITIALIZER(space);
    struct ofputil_flow_stats fs;
    int r;
    while ((r = ofputil_decode_flow_stats_reply(&fs, &msg, true, &ofpacts)) ==
           0) {
        struct have *f = xzalloc(sizeof *f);
        f->match = fs.match;
        f->priority = fs.priority;
        f->idle_s = fs.idle_timeout;
        f->hard_s = fs.hard_timeout;
        f->table = fs.table_id;
        f->cookie = fs.cookie;
        f->ofpacts = xmemdup(fs.ofpacts, fs.ofpacts_len);
        f->ofpacts_len = fs.ofpacts_len;
        hmap_insert(&d->flows, &f->node,
                    key_hash(&f->match, f->table, f->priority));
    }
    ofpbuf_uninit(&ofpacts);
    return r == EOF ? 0 : -EPROTO;
}

void of_dump_pairs(struct of_dump *d,
                   bool (*fn)(void *arg, const struct of_pair *p), void *arg)
{
    struct have *h = NULL;
    HMAP_FOR_EACH(h, node, &d->flows) {
        enum flow_kind kind = kind_of(h->cookie);
        struct of_pair p = pair_of(&h->match);
        h->keep = kind == FLOW_FORWARD || kind == FLOW_DROP ||
                  (kind == FLOW_PAIR && fn(arg, &p));
    }
}

static struct have *find(struct of_dump *d, const struct match *m,
                         uint8_t table, uint16_t priority)
{
    struct have *h = NULL;
    HMAP_FOR_EACH_WITH_HASH(h, node, key_hash(m, table, priority), &d->flows) {
        if (h->table == table && h->priority == priority &&
            match_equal(&h->match, m))
            return h;
    }
    return NULL;
}

/* A strict delete of what a dump has. */
static struct ofpbuf *delete_of(const struct have *h, int version)
{
    struct ofputil_flow_mod fm = {
        .priority = h->priority,
        .table_id = h->table,
        .command = OFPFC_DELETE_STRICT,
        .new_cookie = OVS_BE64_MAX,
        .buffer_id = UINT32_MAX,
        .out_port = OFPP_ANY,
        .out_group = OFPG_ANY,
    };
    minimatch_init(&fm.match, &h->match);
    struct ofpbuf *m = ofputil_encode_flow_mod(&fm, protocol_of(version));
    minimatch_destroy(&fm.match);
    return m;
}

int of_dump_diff(struct of_dump *d, const struct flow_list *wanted, int version,
                 void (*send)(void *arg, struct ofpbuf *msg), void *arg,
                 struct sc_err *err)
{
    struct have *h = NULL;
    int n = 0;
    for (size_t i = 0; i < wanted->n; i++) {
        struct ofputil_flow_mod fm;
        struct match match;
        int r = parse(&wanted->v[i], true, &fm, err);
        if (r < 0)
            return r;
        minimatch_expand(&fm.match, &match);
        h = find(d, &match, fm.table_id, (uint16_t)fm.priority);
        if (h)
            h->keep = true;
        if (!h || h->cookie != fm.new_cookie || h->idle_s != fm.idle_timeout ||
            h->hard_s != fm.hard_timeout ||
            !ofpacts_equal_stringwise(h->ofpacts, h->ofpacts_len, fm.ofpacts,
                                      fm.ofpacts_len)) {
            send(arg, ofputil_encode_flow_mod(&fm, protocol_of(version)));
            n++;
        }
        release(&fm);
    }
    HMAP_FOR_EACH(h, node, &d->flows) {
        if (!h->keep) {
            send(arg, delete_of(h, version));
            n++;
        }
    }
    return n;
}

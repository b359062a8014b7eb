/* Our flows through libopenvswitch and back. */
#include <config.h>

#include "network/of_msg.h"

#include <criterion/criterion.h>

#include "byte-order.h"
#include "flow.h"
#include "openflow/openflow.h"
#include "openvswitch/ofp-actions.h"
#include "openvswitch/ofp-flow.h"
#include "openvswitch/ofp-msgs.h"
#include "openvswitch/ofp-packet.h"
#include "openvswitch/ofpbuf.h"

static const struct net_port port = { .mac = { { 2, 0, 0, 0, 0, 1 } },
                                      .ip = 0x0a01000b,
                                      .nid = 1 };
static const struct net_network net = { .vni = 100,
                                        .prefix_len = 24,
                                        .gateway = 0x0a010001 };
static const int versions[] = { OFP13_VERSION, OFP14_VERSION, OFP15_VERSION };

/* One of each kind. */
static void all(struct flow_list *l)
{
    flows_switch(l);
    flows_tunnel(l, 3);
    flows_guest(l, 7, &port, &net, PREPARE_TURN);
    flows_deliver(l, 0, 7, &port, &net);
    flows_deliver(l, 3, 7, &port, &net);
    /* Room for pairs: as network.c does it. */
    struct mac a = { { 2, 0, 0, 0, 0, 1 } }, b = { { 2, 0, 0, 0, 0, 2 } };
    struct net_flow more[] = { flow_pair(100, a, b, 3), flow_forward(9, a, 3) };
    for (size_t i = 0; i < SC_ARRAY_LEN(more); i++) {
        l->v = reallocarray(l->v, l->n + 1, sizeof *l->v);
        cr_assert(l->v);
        l->v[l->n++] = more[i];
        l->allocated = l->n;
    }
}

Test(of_msg, every_flow_is_understood_in_every_version)
{
    struct flow_list l = { 0 };
    all(&l);
    for (size_t v = 0; v < SC_ARRAY_LEN(versions); v++) {
        for (size_t i = 0; i < l.n; i++) {
            for (int add = 0; add < 2; add++) {
                struct sc_err err = { 0 };
                struct ofpbuf *m = of_msg_flow(&l.v[i], add, versions[v], &err);
                cr_expect(m, "%s", err.text);
                ofpbuf_delete(m);
            }
        }
    }
    flow_list_clear(&l);
}

Test(of_msg, a_flow_that_is_none_is_an_error_that_shows_it)
{
    struct net_flow f = { .kind = FLOW_BASE,
                          .match = "no_such_field=1",
                          .actions = "drop" };
    struct sc_err err;
    cr_expect_null(of_msg_flow(&f, true, OFP13_VERSION, &err));
    cr_expect(strstr(err.text, "no_such_field"), "%s", err.text);
    cr_expect_null(of_msg_packet("nonsense", "x", 1, OFP13_VERSION, &err));
    cr_expect(strstr(err.text, "nonsense"), "%s", err.text);
}

/* What a switch answers to a dump when it has 'l'. */
static void reply(const struct flow_list *l, int version, struct of_dump *d)
{
    struct ofpbuf *request = of_msg_dump(version);
    struct ovs_list replies;
    struct ofpbuf *m;
    ofpmp_init(&replies, request->data);
    for (size_t i = 0; i < l->n; i++) {
        struct sc_err err;
        struct ofpbuf *mod = of_msg_flow(&l->v[i], true, version, &err);
        cr_assert(mod, "%s", err.text);
        struct ofputil_flow_mod fm;
        uint64_t space[1024 / 8];
        struct ofpbuf acts = OFPBUF_STUB_INITIALIZER(space);
        cr_assert_eq(ofputil_decode_flow_mod(&fm, mod->data,
                                             ofputil_protocol_from_ofp_version(
                                                 (enum ofp_version)version),
                                             NULL, NULL, &acts, OFPP_MAX, 255),
                     0);
        struct ofputil_flow_stats fs = {
            .cookie = fm.new_cookie,
            .table_id = fm.table_id,
            .priority = (uint16_t)fm.priority,
            .idle_timeout = fm.idle_timeout,
            .hard_timeout = fm.hard_timeout,
            .idle_age = -1,
            .hard_age = -1,
            .ofpacts = fm.ofpacts,
            .ofpacts_len = fm.ofpacts_len,
            .flags = fm.flags,
        };
        minimatch_expand(&fm.match, &fs.match);
        ofputil_append_flow_stats_reply(&fs, &replies, NULL);
        minimatch_destroy(&fm.match);
        ofpbuf_uninit(&acts);
        ofpbuf_delete(mod);
    }
    LIST_FOR_EACH_POP(m, list_node, &replies) {
        ofpmsg_update_length(m);
        cr_assert_eq(of_dump_add(d, m->data), 0);
        ofpbuf_delete(m);
    }
    ofpbuf_delete(request);
}

struct sent {
    size_t adds, deletes;
};

static void on_send(void *arg, struct ofpbuf *m)
{
    struct sent *s = arg;
    struct ofputil_flow_mod fm;
    uint64_t space[1024 / 8];
    struct ofpbuf acts = OFPBUF_STUB_INITIALIZER(space);
    ofpmsg_update_length(m);
    const struct ofp_header *h = m->data;
    cr_assert_eq(ofputil_decode_flow_mod(&fm, h,
                                         ofputil_protocol_from_ofp_version(
                                             (enum ofp_version)h->version),
                                         NULL, NULL, &acts, OFPP_MAX, 255),
                 0);
    *(fm.command == OFPFC_ADD ? &s->adds : &s->deletes) += 1;
    minimatch_destroy(&fm.match);
    ofpbuf_uninit(&acts);
    ofpbuf_delete(m);
}

static bool known;
static struct of_pair last;

static bool on_pair(void *arg, const struct of_pair *p)
{
    (void)arg;
    last = *p;
    return known;
}

Test(of_msg, a_switch_that_has_what_it_shall_have_is_told_nothing)
{
    for (size_t v = 0; v < SC_ARRAY_LEN(versions); v++) {
        SC_AUTO(of_dump_free) struct of_dump *d = of_dump_new();
        struct flow_list l = { 0 };
        struct sent s = { 0, 0 };
        struct sc_err err;
        all(&l);
        reply(&l, versions[v], d);
        of_dump_pairs(d, on_pair, NULL);
        cr_expect_eq(last.vni, 100);
        cr_expect_eq(last.dst.b[5], 2);
        cr_expect_eq(of_dump_diff(d, &l, versions[v], on_send, &s, &err), 0,
                     "version %d: %zu adds, %zu deletes", versions[v], s.adds,
                     s.deletes);
        flow_list_clear(&l);
    }
}

Test(of_msg, only_the_difference_is_sent)
{
    SC_AUTO(of_dump_free) struct of_dump *d = of_dump_new();
    struct flow_list has = { 0 }, wanted = { 0 };
    struct sent s = { 0, 0 };
    struct sc_err err;
    flows_switch(&has);
    flows_tunnel(&has, 3); /* Two flows to go. */
    flows_switch(&wanted);
    flows_tunnel(&wanted, 4);                    /* Two to come. */
    strcpy(wanted.v[0].actions, "goto_table:1"); /* One to change. */
    reply(&has, OFP13_VERSION, d);
    of_dump_pairs(d, on_pair, NULL);
    cr_expect_eq(of_dump_diff(d, &wanted, OFP13_VERSION, on_send, &s, &err), 5);
    cr_expect_eq(s.adds, 3);
    cr_expect_eq(s.deletes, 2);
    flow_list_clear(&has);
    flow_list_clear(&wanted);
}

Test(of_msg, short_lived_flows_and_known_pairs_are_left_alone)
{
    for (int k = 0; k < 2; k++) {
        SC_AUTO(of_dump_free) struct of_dump *d = of_dump_new();
        struct mac a = { { 2 } }, b = { { 4 } };
        struct net_flow flows[] = { flow_pair(1, a, b, 3),
                                    flow_forward(1, a, 3), flow_drop(1, b, a),
                                    flow_learned(1, b) };
        struct flow_list has = { flows, SC_ARRAY_LEN(flows), 0 }, none = { 0 };
        struct sent s = { 0, 0 };
        struct sc_err err;
        known = k;
        reply(&has, OFP15_VERSION, d);
        of_dump_pairs(d, on_pair, NULL);
        cr_expect_eq(of_dump_diff(d, &none, OFP15_VERSION, on_send, &s, &err),
                     k ? 0 : 1);
        cr_expect_eq(s.deletes, k ? 0 : 1, "the unknown pair goes");
    }
}

Test(of_msg, a_packet_in_tells_port_network_and_the_flow_that_sent_it)
{
    struct ofputil_packet_in_private pin = { 0 };
    struct net_packet_in in;
    SC_AUTO(free) void *frame = NULL;
    match_init_catchall(&pin.base.flow_metadata);
    match_set_in_port(&pin.base.flow_metadata, u16_to_ofp(9));
    match_set_tun_id(&pin.base.flow_metadata, htonll(100));
    uint8_t data[] = "0123456789abcdef";
    pin.base.packet = data;
    pin.base.packet_len = sizeof data;
    pin.base.reason = OFPR_ACTION;
    pin.base.cookie = htonll(FLOW_COOKIE | FLOW_PREPARE);
    struct ofpbuf *m = ofputil_encode_packet_in_private(
        &pin, OFPUTIL_P_OF13_OXM, OFPUTIL_PACKET_IN_STD);
    ofpmsg_update_length(m);
    cr_assert_eq(of_msg_packet_in(m->data, &in, &frame), 0);
    cr_expect_eq(in.in_port, 9);
    cr_expect_eq(in.tun_id, 100);
    cr_expect_eq(in.kind, FLOW_PREPARE);
    cr_expect_eq(in.size, sizeof data);
    cr_expect_arr_eq(in.frame, data, sizeof data);
    ofpbuf_delete(m);
}

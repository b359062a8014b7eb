/* What a switch is told, line by line. */
#include "network/flows.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const struct net_port port = {
    .ifname = "sc0123456789",
    .mac = { { 2, 0, 0, 0, 0, 1 } },
    .ip = 0x0a01000b,
    .nid = 1,
};
static const struct net_network net = {
    .vni = 100,
    .net = 0x0a010000,
    .prefix_len = 24,
    .gateway = 0x0a010001,
};

static void expect(struct flow_list *l, const char *const lines[])
{
    for (size_t i = 0; i < l->n || lines[i]; i++) {
        char text[FLOW_TEXT_MAX] = "(nothing)";
        if (i < l->n)
            flow_text(&l->v[i], text);
        cr_expect_str_eq(text, lines[i] ? lines[i] : "(nothing)",
                         "line %zu:\n%s", i, text);
        if (i >= l->n || !lines[i])
            break;
    }
    flow_list_clear(l);
}

#define BASE "cookie=0x5343000000000001,"
#define PREPARE "cookie=0x5343000000000005,"

Test(flows, every_switch_drops_what_it_does_not_know)
{
    static const char *const want[] = {
        BASE "table=0,priority=0,actions=drop",
        BASE "table=1,priority=0,actions=drop",
        BASE "table=2,priority=0,actions=CONTROLLER:65535",
        BASE "table=2,priority=40,"
             "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=drop",
        NULL,
    };
    struct flow_list l = { 0 };
    flows_switch(&l);
    expect(&l, want);
}

Test(flows, a_tunnel_port_reports_spoof_packets_and_takes_the_rest_to_table_2)
{
    static const char *const want[] = {
        "cookie=0x5343000000000006,table=0,priority=200,in_port=3,"
        "dl_type=0x88b5 actions=CONTROLLER:65535",
        BASE "table=0,priority=100,in_port=3 actions=goto_table:2",
        NULL,
    };
    struct flow_list l = { 0 };
    flows_tunnel(&l, 3);
    expect(&l, want);
}

#define G "in_port=7"
Test(flows, a_guest_may_send_only_as_itself)
{
    struct net_network no_gateway = net;
    static const char *const want[] = {
        BASE "table=0,priority=100," G ",dl_src=02:00:00:00:00:01 "
             "actions=set_field:100->tun_id,goto_table:1",
        BASE "table=1,priority=140," G
             ",udp,nw_src=0.0.0.0,tp_src=68,tp_dst=67 actions=CONTROLLER:65535",
        BASE "table=1,priority=140," G
             ",udp,nw_src=10.1.0.11,tp_src=68,tp_dst=67 "
             "actions=CONTROLLER:65535",
        BASE "table=1,priority=120," G
             ",dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_spa=10.1.0.11,"
             "arp_sha=02:00:00:00:00:01 actions=CONTROLLER:65535",
        BASE "table=1,priority=120," G
             ",dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_spa=0.0.0.0,"
             "arp_sha=02:00:00:00:00:01 actions=CONTROLLER:65535",
        BASE "table=1,priority=120," G
             ",dl_type=0x8035 actions=CONTROLLER:65535",
        BASE "table=1,priority=110," G
             ",arp,arp_spa=10.1.0.11,arp_sha=02:00:00:00:00:01 "
             "actions=goto_table:2",
        BASE "table=1,priority=110," G
             ",ip,nw_src=10.1.0.11 actions=goto_table:2",
        NULL,
    };
    struct flow_list l = { 0 };
    no_gateway.gateway = 0;
    flows_guest(&l, 7, &port, &no_gateway, PREPARE_NOT);
    expect(&l, want);
}

static const struct net_flow *with(const struct flow_list *l, const char *part,
                                   uint16_t priority)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i].priority == priority && strstr(l->v[i].match, part))
            return &l->v[i];
    }
    return NULL;
}

Test(flows, the_gateway_answers_arp_and_pings_in_the_switch)
{
    struct flow_list l = { 0 };
    flows_guest(&l, 7, &port, &net, PREPARE_NOT);
    const struct net_flow *arp = with(&l, "arp_tpa=10.1.0.1", 130);
    const struct net_flow *ping = with(&l, "icmp_type=8", 130);
    cr_assert(arp && ping);
    cr_expect_str_eq(arp->actions,
                     "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],"
                     "set_field:02:53:43:00:00:64->eth_src,set_field:2->arp_op,"
                     "move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],"
                     "set_field:02:53:43:00:00:64->arp_sha,"
                     "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],"
                     "set_field:10.1.0.1->arp_spa,IN_PORT");
    cr_expect(strstr(ping->match, "nw_src=10.1.0.11,nw_dst=10.1.0.1"));
    cr_expect(strstr(ping->actions, "set_field:0->icmp_type"));
    flow_list_clear(&l);
}

Test(flows, a_prepared_place_tells_and_turns_its_neighbours)
{
    struct flow_list l = { 0 };
    char text[FLOW_TEXT_MAX];
    flows_guest(&l, 7, &port, &net, PREPARE_TURN);
    const struct net_flow *f = with(&l, "in_port=7", 300);
    cr_assert(f);
    flow_text(f, text);
    cr_expect_str_eq(
        text,
        PREPARE "table=0,priority=300,in_port=7,dl_src=02:00:00:00:00:01 "
                "actions=CONTROLLER:65535,set_field:100->tun_id,"
                "learn(table=2,hard_timeout=30,priority=110,"
                "cookie=0x5343000000000003,NXM_NX_TUN_ID[],"
                "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),"
                "goto_table:1");
    flow_list_clear(&l);
    flows_guest(&l, 7, &port, &net, PREPARE_TELL);
    f = with(&l, "in_port=7", 300);
    cr_assert(f);
    cr_expect_str_eq(f->actions, "CONTROLLER:65535,set_field:100->tun_id,"
                                 "goto_table:1");
    flow_list_clear(&l);
}

Test(flows, pairs_go_when_idle_and_the_rest_after_a_time)
{
    const struct mac a = { { 2, 0, 0, 0, 0, 1 } }, b = { { 2, 0, 0, 0, 0, 2 } };
    char text[FLOW_TEXT_MAX];
    struct net_flow f = flow_pair(100, a, b, 4);
    flow_text(&f, text);
    cr_expect_str_eq(text, "cookie=0x5343000000000002,table=2,priority=100,"
                           "idle_timeout=60,send_flow_rem,tun_id=100,"
                           "dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02 "
                           "actions=output:4");
    struct net_flow d = flow_drop(100, a, b);
    cr_expect_eq(flow_compare_key(&f, &d), 0, "a pair takes a drop's place");
    flow_text(&d, text);
    cr_expect(strstr(text, "hard_timeout=3,"), "%s", text);
    f = flow_forward(100, b, 5);
    flow_text(&f, text);
    cr_expect_str_eq(text, "cookie=0x5343000000000003,table=2,priority=60,"
                           "hard_timeout=30,tun_id=100,"
                           "dl_dst=02:00:00:00:00:02 actions=output:5");
    flow_key_text(&f, text);
    cr_expect_str_eq(text,
                     "table=2,priority=60,tun_id=100,dl_dst=02:00:00:00:00:02");
}

Test(flows, a_guest_not_there_yet_is_delivered_to_from_tunnels_only)
{
    static const char *const want[] = {
        BASE "table=2,priority=50,tun_id=100,dl_dst=02:00:00:00:00:01 "
             "actions=output:7",
        BASE "table=2,priority=50,in_port=2,tun_id=100,"
             "dl_dst=02:00:00:00:00:01 actions=output:7",
        NULL,
    };
    struct flow_list l = { 0 };
    flows_deliver(&l, 0, 7, &port, &net);
    flows_deliver(&l, 2, 7, &port, &net);
    expect(&l, want);
}

/* Whole networks in memory: who reaches whom, who is heard, who is answered. */
#include "fabric.h"

/* --- flows ---------------------------------------------------------------- */

Test(network, the_first_packet_of_a_flow_gets_it_a_path_both_ways)
{
    struct fabric f;
    fabric_open(&f, 3);
    run(&f, 1, 0x11, 1);
    run(&f, 1, 0x12, 2);
    fabric_miss(&f, 1, 1, 0x11, 0x12);
    cr_expect_str_eq(fabric_flows(&f, 1, 2, "100 "),
                     PAIR("11", "12") " output:2\n");
    cr_expect_str_eq(fabric_flows(&f, 2, 2, "100 "),
                     PAIR("12", "11") " output:1\n");
    cr_expect_str_eq(fabric_flows(&f, 3, 2, "100 "), "");
    cr_expect_str_eq(fabric_flows(&f, 2, 2, "50 "),
                     "50 tun_id=1,dl_dst=" M("01", "12") " output:10\n");
    cr_assert_eq(f.n_sent, 1, "and the packet itself goes on");
    cr_expect_eq(f.sent[0].nid, 1);
    cr_expect_str_eq(f.sent[0].actions, "set_field:1->tun_id,output:2");
    fabric_close(&f);
}

Test(network, guests_of_one_switch_need_no_pair)
{
    struct fabric f;
    fabric_open(&f, 2);
    run(&f, 1, 0x11, 1);
    run(&f, 1, 0x12, 1);
    fabric_miss(&f, 1, 1, 0x11, 0x12);
    cr_expect_str_eq(fabric_flows(&f, 1, 2, "100 "), "");
    cr_expect_eq(f.n->n_pairs, 0);
    cr_assert_eq(f.n_sent, 1);
    cr_expect_str_eq(f.sent[0].actions, "output:11");
    fabric_close(&f);
}

Test(network, a_shorter_way_by_a_third_switch_is_taken_and_left_again)
{
    struct fabric f;
    fabric_open(&f, 3);
    run(&f, 1, 0x11, 1);
    run(&f, 1, 0x12, 2);
    fabric_miss(&f, 1, 1, 0x11, 0x12);
    fabric_latency(&f, 1, 2, 100);
    fabric_latency(&f, 1, 3, 20);
    fabric_latency(&f, 2, 3, 20);
    cr_expect_str_eq(fabric_flows(&f, 1, 2, "100 "),
                     PAIR("11", "12") " output:3\n");
    cr_expect_str_eq(
        fabric_flows(&f, 3, 2, "100 "),
        PAIR("11", "12") " output:2\n" PAIR("12", "11") " output:1\n");
    fabric_latency(&f, 1, 2, 30);
    cr_expect_str_eq(fabric_flows(&f, 1, 2, "100 "),
                     PAIR("11", "12") " output:2\n");
    cr_expect_str_eq(fabric_flows(&f, 3, 2, "100 "), "");
    fabric_close(&f);
}

static bool not_1_to_2(uint16_t from, uint16_t to)
{
    return !(from == 1 && to == 2);
}

Test(network, a_link_that_carries_no_spoof_packets_is_gone_round)
{
    struct fabric f;
    fabric_open(&f, 3);
    run(&f, 1, 0x11, 1);
    run(&f, 1, 0x12, 2);
    fabric_miss(&f, 1, 1, 0x11, 0x12);
    for (int i = 0; i < 5; i++) {
        f.now += TOPO_PROBE_MS;
        network_tick(f.n, f.now);
        fabric_spoof(&f, not_1_to_2);
    }
    cr_expect_str_eq(fabric_flows(&f, 1, 2, "100 "),
                     PAIR("11", "12") " output:3\n");
    cr_expect_str_eq(fabric_flows(&f, 2, 2, "100 "),
                     PAIR("12", "11") " output:1\n", "the way back works");
    fabric_close(&f);
}

Test(network, an_idle_pair_goes_from_every_switch)
{
    struct fabric f;
    fabric_open(&f, 3);
    fabric_latency(&f, 1, 2, 100);
    fabric_latency(&f, 1, 3, 20);
    fabric_latency(&f, 2, 3, 20);
    run(&f, 1, 0x11, 1);
    run(&f, 1, 0x12, 2);
    fabric_miss(&f, 1, 1, 0x11, 0x12);
    network_pair_idle(f.n, 1, 1, fabric_mac(1, 0x11), fabric_mac(1, 0x12));
    cr_expect_str_eq(fabric_flows(&f, 3, 2, "100 "),
                     PAIR("12", "11") " output:1\n");
    cr_expect_eq(f.n->n_pairs, 1);
    fabric_close(&f);
}

Test(network, packets_to_nobody_are_dropped_in_the_switch_within_a_budget)
{
    struct fabric f;
    fabric_open(&f, 2);
    run(&f, 1, 0x11, 1);
    for (int to = 0x20; to < 0x20 + NET_DROPS_PER_S + 50; to++)
        fabric_miss(&f, 1, 1, 0x11, to);
    size_t n = 0;
    for (size_t i = 0; i < f.tables[1].n; i++)
        n += f.tables[1].v[i].kind == FLOW_DROP;
    cr_expect_eq(n, NET_DROPS_PER_S);
    cr_expect_eq(f.n_sent, 0);
    fabric_close(&f);
}

/* --- tenants and spoofing ------------------------------------------------- */

Test(network, networks_with_the_same_addresses_do_not_meet)
{
    struct fabric f;
    fabric_open(&f, 2);
    fabric_network(&f, 2);
    run(&f, 1, 0x11, 1);
    run(&f, 2, 0x12, 2);
    fabric_miss(&f, 1, 1, 0x11, 0x12);
    cr_expect_eq(f.n_sent, 0, "guest 12 is of the other network");
    fabric_arp(&f, 1, 1, 0x11, fabric_ip(2, 0x12));
    cr_expect_eq(f.n_sent, 0);
    fabric_close(&f);
}

Test(network, a_guest_attached_where_it_does_not_run_is_not_heard)
{
    struct fabric f;
    fabric_open(&f, 2);
    run(&f, 1, 0x11, 1);
    run(&f, 1, 0x12, 2);
    fabric_attach(&f, 1, 0x11, 2);
    cr_expect_str_eq(fabric_flows(&f, 2, 0, M("01", "11")), "");
    fabric_arp(&f, 2, 1, 0x11, fabric_ip(1, 0x12));
    fabric_copy(&f, 2, 1, 0x11);
    cr_expect_eq(f.n_sent, 0);
    cr_expect_eq(f.n->vports[0].place, 1);
    cr_expect_eq(f.n->n_spoofed, 2);
    fabric_close(&f);
}

Test(network, spoof_packets_are_believed_only_with_the_nonce)
{
    struct fabric f;
    fabric_open(&f, 2);
    struct spoof s = { .nid = 1, .port = 2, .nonce = 12345 };
    uint8_t frame[SPOOF_SIZE];
    spoof_encode(&s, frame);
    uint64_t seen_at = topo_link_get(f.n->topo, 1, 2)->seen_at;
    f.now += 100;
    put_in(&f, 2, 1, 0, FLOW_SPOOF, frame, sizeof frame);
    cr_expect_eq(topo_link_get(f.n->topo, 1, 2)->seen_at, seen_at);
    s.nonce = topo_link_get(f.n->topo, 1, 2)->nonce;
    spoof_encode(&s, frame);
    put_in(&f, 2, 1, 0, FLOW_SPOOF, frame, sizeof frame);
    cr_expect_eq(topo_link_get(f.n->topo, 1, 2)->seen_at, f.now);
    fabric_close(&f);
}

/* --- ARP and DHCP --------------------------------------------------------- */

Test(network, an_arp_request_goes_to_its_target_alone)
{
    struct fabric f;
    struct packet p;
    fabric_open(&f, 3);
    run(&f, 1, 0x11, 1);
    run(&f, 1, 0x12, 2);
    run(&f, 1, 0x13, 3);
    fabric_arp(&f, 1, 1, 0x11, fabric_ip(1, 0x12));
    cr_assert_eq(f.n_sent, 1);
    cr_expect_str_eq(f.sent[0].actions, "set_field:1->tun_id,output:2");
    cr_assert_eq(packet_decode(f.sent[0].frame, f.sent[0].size, &p), 0);
    cr_expect(mac_eq(p.dst, fabric_mac(1, 0x12)), "by unicast");
    cr_expect_eq(p.arp.op, ARP_REQUEST);
    cr_expect_str_eq(fabric_flows(&f, 1, 2, "100 "),
                     PAIR("11", "12") " output:2\n",
                     "what will follow has its path already");
    fabric_arp(&f, 1, 1, 0x11, fabric_ip(1, 0x99));
    cr_expect_eq(f.n_sent, 1, "nobody is asked for an address of nobody");
    fabric_arp(&f, 1, 1, 0x11, fabric_ip(1, 0x11));
    cr_expect_eq(f.n_sent, 1, "an announcement is told to nobody");
    fabric_close(&f);
}

Test(network, the_gateway_is_answered_for)
{
    struct fabric f;
    struct packet p;
    fabric_open(&f, 1);
    uint32_t port = run(&f, 1, 0x11, 1);
    char actions[32];
    fabric_arp(&f, 1, 1, 0x11, fabric_ip(1, 1));
    cr_assert_eq(f.n_sent, 1);
    snprintf(actions, sizeof actions, "output:%u", port);
    cr_expect_str_eq(f.sent[0].actions, actions);
    cr_assert_eq(packet_decode(f.sent[0].frame, f.sent[0].size, &p), 0);
    cr_expect_eq(p.arp.op, ARP_REPLY);
    cr_expect_eq(p.arp.spa, fabric_ip(1, 1));
    fabric_close(&f);
}

Test(network, a_guest_is_told_of_when_it_is_first_heard)
{
    struct fabric f;
    fabric_open(&f, 2);
    run(&f, 1, 0x11, 1);
    cr_expect_str_eq(f.seen, "");
    fabric_arp(&f, 1, 1, 0x11, fabric_ip(1, 1));
    fabric_arp(&f, 1, 1, 0x11, fabric_ip(1, 1));
    cr_expect_str_eq(f.seen, "00001101@1 ");
    fabric_close(&f);
}

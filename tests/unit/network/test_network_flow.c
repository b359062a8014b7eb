/* Whole networks in memory: guests that move, sc-network that is restarted. */
#include "fabric.h"

/* --- migration ------------------------------------------------------------ */

/* Guest 11 at 1, with a flow to and from 12 at 2 and 13 at 3; prepared to go
 * to 3. */
static void prepared(struct fabric *f)
{
    struct sc_err err;
    fabric_open(f, 3);
    run(f, 1, 0x11, 1);
    run(f, 1, 0x12, 2);
    run(f, 1, 0x13, 3);
    fabric_arp(f, 1, 1, 0x11, fabric_ip(1, 1));
    fabric_miss(f, 1, 1, 0x11, 0x12);
    fabric_miss(f, 1, 1, 0x11, 0x13);
    fabric_attach(f, 1, 0x11, 3);
    cr_assert_eq(network_migrate_prepare(f->n, fabric_id(1, 0x11), 1, 3, &err),
                 0, "%s", err.text);
    f->seen[0] = '\0';
    f->n_sent = 0;
}

Test(network_flow, preparing_changes_no_way_that_is_in_use)
{
    struct fabric f;
    prepared(&f);
    cr_expect_str_eq(
        fabric_flows(&f, 1, 2, "100 "),
        PAIR("11", "12") " output:2\n" PAIR("11", "13") " output:3\n");
    cr_expect_str_eq(fabric_flows(&f, 2, 2, "100 "),
                     PAIR("12", "11") " output:1\n");
    cr_expect(
        strstr(fabric_flows(&f, 3, 2, "100 "), PAIR("13", "11") " output:1\n"),
        "a neighbour at the new place still sends to the old one");
    cr_expect(strstr(fabric_flows(&f, 1, 2, "50 "), "output:10"));
    fabric_close(&f);
}

Test(network_flow, preparing_puts_in_what_the_guest_will_need)
{
    struct fabric f;
    prepared(&f);
    cr_expect(strstr(fabric_flows(&f, 3, 0, "300 "),
                     "in_port=11,dl_src=" M("01", "11") " CONTROLLER"));
    cr_expect(
        strstr(fabric_flows(&f, 3, 2, "100 "), PAIR("11", "12") " output:2\n"),
        "%s", fabric_flows(&f, 3, 2, ""));
    cr_expect_str_eq(
        fabric_flows(&f, 3, 2, "dl_dst=" M("01", "11")),
        PAIR("13", "11") " output:1\n"
                         "50 in_port=1,tun_id=1,dl_dst=" M(
                             "01", "11") " output:11\n"
                                         "50 in_port=2,tun_id=1,dl_dst=" M(
                                             "01", "11") " output:11\n");
    fabric_close(&f);
}

Test(network_flow, the_first_packet_at_the_new_place_turns_every_switch)
{
    struct fabric f;
    prepared(&f);
    fabric_copy(&f, 3, 1, 0x11);
    cr_expect_str_eq(f.seen, "00001101@3 ");
    cr_expect_str_eq(fabric_flows(&f, 2, 2, "100 "),
                     PAIR("12", "11") " output:3\n");
    cr_expect_str_eq(fabric_flows(&f, 3, 2, "100 "),
                     PAIR("11", "12") " output:2\n");
    cr_expect_str_eq(
        fabric_flows(&f, 3, 2, "50 "),
        "50 tun_id=1,dl_dst=" M("01", "11") " output:11\n"
                                            "50 tun_id=1,dl_dst=" M(
                                                "01", "13") " output:10\n");
    cr_expect_str_eq(fabric_flows(&f, 1, 2, M("01", "11")),
                     "60 tun_id=1,dl_dst=" M("01", "11") " output:3\n",
                     "the old place sends on");
    cr_expect_str_eq(fabric_flows(&f, 3, 0, "300 "), "");
    cr_expect(*fabric_flows(&f, 1, 0, "300 "), "it may still come back");
    fabric_close(&f);
}

Test(network_flow, after_the_end_only_the_new_place_may_speak)
{
    struct fabric f;
    prepared(&f);
    fabric_copy(&f, 3, 1, 0x11);
    fabric_port(&f, 1, 0x11, 3);
    cr_assert_eq(network_migrate_end(f.n, fabric_id(1, 0x11), 3, NULL), 0);
    cr_expect_str_eq(fabric_flows(&f, 1, 0, M("01", "11")), "");
    cr_expect_str_eq(fabric_flows(&f, 1, 1, "in_port=10"), "");
    cr_expect(*fabric_flows(&f, 3, 0, M("01", "11")));
    fabric_close(&f);
}

Test(network_flow, the_controllers_word_turns_a_silent_guest)
{
    struct fabric f;
    prepared(&f);
    fabric_port(&f, 1, 0x11, 3);
    cr_expect_eq(f.n->vports[0].place, 1, "the guest itself says when");
    cr_assert_eq(network_migrate_end(f.n, fabric_id(1, 0x11), 3, NULL), 0);
    cr_expect_eq(f.n->vports[0].place, 3);
    cr_expect_str_eq(fabric_flows(&f, 2, 2, "100 "),
                     PAIR("12", "11") " output:3\n");
    fabric_close(&f);
}

Test(network_flow, a_migration_given_up_leaves_no_trace)
{
    struct fabric f;
    prepared(&f);
    cr_assert_eq(network_migrate_end(f.n, fabric_id(1, 0x11), 1, NULL), 0);
    cr_expect_str_eq(fabric_flows(&f, 3, 0, M("01", "11")), "");
    cr_expect_str_eq(fabric_flows(&f, 3, 2, "50 in_port"), "");
    cr_expect_str_eq(fabric_flows(&f, 2, 2, "100 "),
                     PAIR("12", "11") " output:1\n");
    fabric_close(&f);
}

Test(network_flow,
     what_a_migration_given_up_prepared_does_not_hinder_the_peers_own)
{
    struct fabric f;
    prepared(&f);
    cr_assert_eq(network_migrate_end(f.n, fabric_id(1, 0x11), 1, NULL), 0);
    cr_expect_str_eq(fabric_flows(&f, 3, 2, PAIR("11", "12")),
                     PAIR("11", "12") " output:2\n", "it goes when idle");
    /* Now its peer goes where it would have gone. */
    fabric_attach(&f, 1, 0x12, 3);
    cr_assert_eq(network_migrate_prepare(f.n, fabric_id(1, 0x12), 2, 3, NULL),
                 0);
    fabric_copy(&f, 3, 1, 0x12);
    cr_assert_eq(network_migrate_end(f.n, fabric_id(1, 0x12), 3, NULL), 0);
    cr_expect_str_eq(fabric_flows(&f, 3, 2, PAIR("11", "12")), "",
                     "none that sends on what is for its own guest");
    fabric_close(&f);
}

Test(network_flow, a_guest_that_comes_back_is_followed)
{
    struct fabric f;
    prepared(&f);
    fabric_copy(&f, 3, 1, 0x11);
    fabric_copy(&f, 1, 1, 0x11);
    cr_expect_str_eq(f.seen, "00001101@3 00001101@1 ");
    cr_expect_str_eq(fabric_flows(&f, 2, 2, "100 "),
                     PAIR("12", "11") " output:1\n");
    cr_expect_str_eq(fabric_flows(&f, 1, 2, "60 "), "",
                     "no flow sends it away from where it is");
    fabric_close(&f);
}

Test(network_flow, preparing_for_a_switch_that_is_away_is_refused)
{
    struct fabric f;
    struct sc_err err;
    fabric_open(&f, 2);
    run(&f, 1, 0x11, 1);
    cr_expect_eq(network_migrate_prepare(f.n, fabric_id(1, 0x11), 1, 3, &err),
                 -EHOSTUNREACH);
    cr_expect_eq(network_migrate_prepare(f.n, fabric_id(1, 0x77), 1, 2, &err),
                 -ENOENT);
    fabric_close(&f);
}

/* --- restarts ------------------------------------------------------------- */

/* sc-network is restarted: 'g' is the new one, with the three switches of 'f'
 * and the flows that are in them. */
static void restart(struct fabric *f, struct fabric *g)
{
    memset(g, 0, sizeof *g);
    g->now = 5000;
    struct net_out out = { g, on_flow, on_packet, on_sync, on_random, on_seen };
    g->n = network_new(&out);
    for (uint16_t nid = 1; nid <= 3; nid++) {
        g->tables[nid] = f->tables[nid];
        f->tables[nid] = (struct flow_list){ 0 };
        struct net_switch_port ports[8];
        size_t n = net_switch_get(f->n, nid)->n_ports;
        cr_assert_leq(n, SC_ARRAY_LEN(ports));
        memcpy(ports, net_switch_get(f->n, nid)->ports, n * sizeof *ports);
        network_switch_up(g->n, nid, ports, n, g->now);
    }
}

/* Two guests, and where they are by now. */
static void tell_state(struct fabric *g, uint16_t first, uint16_t second)
{
    SC_AUTO(cjson_free)
    cJSON *state = parse("{\"nodes\":[],\"networks\":[],\"ports\":[]}");
    cJSON *ports = cJSON_GetObjectItem(state, "ports");
    cJSON_AddItemToArray(cJSON_GetObjectItem(state, "networks"),
                         network_json(1));
    cJSON_AddItemToArray(ports, port_json(1, 0x11, first));
    cJSON_AddItemToArray(ports, port_json(1, 0x12, second));
    cr_assert_eq(network_state_set(g->n, state, NULL), 0);
}

Test(network_flow, after_a_restart_the_switches_keep_their_flows)
{
    struct fabric f, g;
    fabric_open(&f, 3);
    run(&f, 1, 0x11, 1);
    run(&f, 1, 0x12, 2);
    fabric_miss(&f, 1, 1, 0x11, 0x12);
    char before[4][8192];
    for (uint16_t nid = 1; nid <= 3; nid++)
        snprintf(before[nid], sizeof before[nid], "%s",
                 fabric_flows(&f, nid, 2, ""));
    restart(&f, &g);
    cr_expect_eq(g.n_synced, 0, "nothing is touched before the state is known");
    tell_state(&g, 1, 2);
    cr_expect_eq(g.n_synced, 3);
    for (uint16_t nid = 1; nid <= 3; nid++)
        cr_expect_str_eq(fabric_flows(&g, nid, 2, ""), before[nid], "switch %u",
                         nid);
    cr_expect_eq(g.n->n_pairs, 2);
    fabric_close(&f);
    fabric_close(&g);
}

Test(network_flow, a_flow_to_where_a_guest_was_before_the_restart_goes)
{
    struct fabric f, g;
    fabric_open(&f, 3);
    run(&f, 1, 0x11, 1);
    run(&f, 1, 0x12, 2);
    fabric_miss(&f, 1, 1, 0x11, 0x12);
    fabric_attach(&f, 1, 0x12, 1);
    restart(&f, &g);
    tell_state(&g, 1, 1); /* The second has moved to the first meanwhile. */
    cr_expect_str_eq(fabric_flows(&g, 1, 2, "100 "), "",
                     "it would send on what is for its own guest");
    cr_expect_str_eq(fabric_flows(&g, 2, 2, "100 "), "");
    cr_expect_eq(g.n->n_pairs, 0);
    fabric_close(&f);
    fabric_close(&g);
}

Test(network_flow, a_flow_to_a_guest_that_stopped_during_the_restart_goes)
{
    struct fabric f, g;
    fabric_open(&f, 3);
    run(&f, 1, 0x11, 1);
    run(&f, 1, 0x12, 2);
    fabric_miss(&f, 1, 1, 0x11, 0x12);
    restart(&f, &g);
    tell_state(&g, 1, 0);
    cr_expect_str_eq(fabric_flows(&g, 1, 2, "100 "), "");
    cr_expect_eq(g.n->n_pairs, 0);
    fabric_close(&f);
    fabric_close(&g);
}

Test(network_flow, a_switch_that_reconnects_is_compared_not_wiped)
{
    struct fabric f;
    fabric_open(&f, 2);
    run(&f, 1, 0x11, 1);
    run(&f, 1, 0x12, 2);
    fabric_miss(&f, 1, 1, 0x11, 0x12);
    network_switch_down(f.n, 2);
    f.n_changes = 0;
    fabric_latency(&f, 1, 2, 50);
    cr_expect_eq(f.n_changes, 0, "a lost connection changes nobody's flows");
    cr_expect_eq(f.n->n_pairs, 2);
    fabric_close(&f);
}

Test(network_flow, a_bad_state_changes_nothing)
{
    struct fabric f;
    struct sc_err err;
    fabric_open(&f, 2);
    run(&f, 1, 0x11, 1);
    f.n_changes = 0;
    SC_AUTO(cjson_free)
    cJSON *state = parse("{\"nodes\":[],\"networks\":[],\"ports\":[{}]}");
    cr_expect_eq(network_state_set(f.n, state, &err), -EINVAL);
    cr_expect_eq(f.n_changes, 0);
    cr_expect_eq(f.n->n_vports, 1);
    fabric_close(&f);
}

Test(network_flow, a_port_that_is_deleted_takes_its_flows_along)
{
    struct fabric f;
    fabric_open(&f, 2);
    run(&f, 1, 0x11, 1);
    run(&f, 1, 0x12, 2);
    fabric_miss(&f, 1, 1, 0x11, 0x12);
    network_port_del(f.n, fabric_id(1, 0x11));
    for (uint16_t nid = 1; nid <= 2; nid++) {
        for (uint8_t table = 0; table < 3; table++)
            cr_expect_str_eq(fabric_flows(&f, nid, table, M("01", "11")), "");
    }
    cr_expect_eq(f.n->n_pairs, 0);
    fabric_close(&f);
}

Test(network_flow, many_pairs_are_kept_and_removed_right)
{
    struct fabric f;
    fabric_open(&f, 2);
    for (int g = 2; g < 82; g++)
        run(&f, 1, g, g % 2 ? 1 : 2);
    for (int a = 3; a < 82; a += 2) {
        for (int b = 2; b < 82; b += 2)
            fabric_miss(&f, 1, 1, a, b);
    }
    cr_expect_eq(f.n->n_pairs, 40 * 40 * 2);
    for (int b = 2; b < 82; b += 4)
        network_port_del(f.n, fabric_id(1, b));
    cr_expect_eq(f.n->n_pairs, 40 * 20 * 2);
    for (int a = 3; a < 82; a += 2) {
        for (int b = 4; b < 82; b += 4)
            network_pair_idle(f.n, 1, 1, fabric_mac(1, a), fabric_mac(1, b));
    }
    cr_expect_eq(f.n->n_pairs, 40 * 20);
    cr_expect_str_eq(fabric_flows(&f, 1, 2, "100 "), "");
    fabric_close(&f);
}

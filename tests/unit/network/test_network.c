/* Whole networks played in memory: what each switch is told. */
#include "fabric.h"
#include "network/dhcp.h"
#include "network/spoof.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* --- the fabric ----------------------------------------------------------- */

const char *fabric_id(int vni, int guest)
{
    static char ids[8][40];
    static int next;
    char *id = ids[next++ % 8];
    snprintf(id, 40, "%08x-%02x00-4000-8000-000000000000", guest * 256 + vni,
             guest);
    return id;
}

struct mac fabric_mac(int vni, int guest)
{
    return (struct mac){ { 2, 0, 0, 0, (uint8_t)vni, (uint8_t)guest } };
}

uint32_t fabric_ip(int vni, int guest)
{
    return 0x0a000000u | (uint32_t)vni << 16 | (uint32_t)guest;
}

static void on_flow(void *arg, uint16_t nid, bool add, const struct net_flow *n)
{
    struct fabric *f = arg;
    struct flow_list *l = &f->tables[nid];
    cr_assert(net_switch_get(f->n, nid), "switch %u is not there", nid);
    f->n_changes++;
    for (size_t i = 0; i < l->n; i++) {
        if (flow_compare_key(&l->v[i], n) == 0) {
            l->v[i] = add ? *n : l->v[--l->n];
            return;
        }
    }
    if (!add)
        return;
    if (l->n == l->allocated) {
        l->allocated = l->allocated ? l->allocated * 2 : 64;
        l->v = reallocarray(l->v, l->allocated, sizeof *l->v);
        cr_assert(l->v);
    }
    l->v[l->n++] = *n;
}

static void on_packet(void *arg, uint16_t nid, const char *actions,
                      const void *frame, size_t size)
{
    struct fabric *f = arg;
    if (f->n_sent == SENT_MAX)
        return;
    struct sent *s = &f->sent[f->n_sent++];
    s->nid = nid;
    snprintf(s->actions, sizeof s->actions, "%s", actions);
    memcpy(s->frame, frame, size);
    s->size = size;
}

/* As of_server.c: what is not wanted goes, but for what ends by itself. */
static void on_sync(void *arg, uint16_t nid)
{
    struct fabric *f = arg;
    struct flow_list wanted = { 0 }, old = f->tables[nid];
    f->n_synced++;
    for (size_t i = 0; i < old.n; i++) {
        unsigned vni, s[6], d[6];
        if (old.v[i].kind == FLOW_PAIR &&
            sscanf(old.v[i].match,
                   "tun_id=%u,dl_src=%x:%x:%x:%x:%x:%x,dl_dst=%x:%x:%x:%x:%x:"
                   "%x",
                   &vni, s, s + 1, s + 2, s + 3, s + 4, s + 5, d, d + 1, d + 2,
                   d + 3, d + 4, d + 5) == 13)
            network_pair_found(f->n, vni, fabric_mac((int)s[4], (int)s[5]),
                               fabric_mac((int)d[4], (int)d[5]));
    }
    network_wanted(f->n, nid, &wanted);
    flow_list_clear(&old);
    f->tables[nid] = wanted;
}

static uint64_t on_random(void *arg)
{
    struct fabric *f = arg;
    return f->random += UINT64_C(0x9e3779b97f4a7c15);
}

static void on_seen(void *arg, const struct net_port *p, uint16_t nid)
{
    struct fabric *f = arg;
    size_t used = strlen(f->seen);
    snprintf(f->seen + used, sizeof f->seen - used, "%.8s@%u ", p->id, nid);
}

static cJSON *parse(const char *fmt, ...) SC_PRINTF(1, 2);
static cJSON *parse(const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    cJSON *j = cJSON_Parse(text);
    cr_assert(j, "%s", text);
    return j;
}

static cJSON *network_json(int vni)
{
    return parse("{\"id\":\"%s\",\"vni\":%d,\"cidr\":\"10.%d.0.0/24\","
                 "\"gateway\":\"10.%d.0.1\",\"mtu\":1400}",
                 fabric_id(vni, 0), vni, vni, vni);
}

static cJSON *port_json(int vni, int guest, uint16_t nid)
{
    return parse("{\"id\":\"%s\",\"network_id\":\"%s\",\"mac\":"
                 "\"02:00:00:00:%02x:%02x\",\"ip\":\"10.%d.0.%d\",\"nid\":%u}",
                 fabric_id(vni, guest), fabric_id(vni, 0), vni, guest, vni,
                 guest, nid);
}

void fabric_network(struct fabric *f, int vni)
{
    SC_AUTO(cjson_free) cJSON *j = network_json(vni);
    cr_assert_eq(network_network_set(f->n, j, NULL), 0);
}

void fabric_port(struct fabric *f, int vni, int guest, uint16_t nid)
{
    SC_AUTO(cjson_free) cJSON *j = port_json(vni, guest, nid);
    struct sc_err err;
    cr_assert_eq(network_port_set(f->n, j, &err), 0, "%s", err.text);
}

static struct net_port port_of(int vni, int guest)
{
    SC_AUTO(cjson_free) cJSON *j = port_json(vni, guest, 1);
    struct net_port p;
    cr_assert_eq(net_port_read(j, &p, NULL), 0);
    return p;
}

uint32_t fabric_attach(struct fabric *f, int vni, int guest, uint16_t nid)
{
    struct net_switch_port p = { .ofport = f->next_ofport[nid]++ };
    struct net_port port = port_of(vni, guest);
    memcpy(p.name, port.ifname, sizeof p.name);
    network_port_up(f->n, nid, &p, f->now);
    return p.ofport;
}

void fabric_up(struct fabric *f, uint16_t nid, uint16_t n)
{
    struct net_switch_port ports[FABRIC_MAX];
    size_t n_ports = 0;
    for (uint16_t to = 1; to <= n; to++) {
        if (to == nid)
            continue;
        ports[n_ports].ofport = to;
        snprintf(ports[n_ports++].name, IFNAME_LEN, "vx%u", to);
    }
    network_switch_up(f->n, nid, ports, n_ports, f->now);
    f->next_ofport[nid] = 10;
}

static void set_state(struct fabric *f)
{
    SC_AUTO(cjson_free)
    cJSON *state = parse("{\"nodes\":[],\"networks\":[],\"ports\":[]}");
    struct sc_err err;
    cJSON_AddItemToArray(cJSON_GetObjectItem(state, "networks"),
                         network_json(1));
    cr_assert_eq(network_state_set(f->n, state, &err), 0, "%s", err.text);
}

void fabric_open(struct fabric *f, uint16_t n)
{
    memset(f, 0, sizeof *f);
    f->now = 1000;
    struct net_out out = { f, on_flow, on_packet, on_sync, on_random, on_seen };
    f->n = network_new(&out);
    set_state(f);
    for (uint16_t nid = 1; nid <= n; nid++)
        fabric_up(f, nid, n);
    network_tick(f->n, f->now);
    fabric_spoof(f, NULL);
}

void fabric_close(struct fabric *f)
{
    network_free(f->n);
    for (int i = 0; i <= FABRIC_MAX; i++)
        flow_list_clear(&f->tables[i]);
}

void fabric_spoof(struct fabric *f, bool (*works)(uint16_t from, uint16_t to))
{
    for (size_t i = 0; i < f->n_sent; i++) {
        struct sent *s = &f->sent[i];
        struct spoof p;
        if (spoof_decode(s->frame, s->size, &p) < 0)
            continue;
        uint16_t to = (uint16_t)p.port; /* Port M leads to switch M. */
        struct net_packet_in in = { .in_port = s->nid,
                                    .kind = FLOW_SPOOF,
                                    .frame = s->frame,
                                    .size = s->size };
        if (!works || works(s->nid, to))
            network_packet_in(f->n, to, &in, f->now);
    }
    f->n_sent = 0;
}

/* The port by which 'guest' is attached to 'nid'; 0: none. */
static uint32_t ofport_of(struct fabric *f, uint16_t nid, int vni, int guest)
{
    struct net_port p = port_of(vni, guest);
    const struct net_switch_port *o =
        net_switch_port_named(net_switch_get(f->n, nid), p.ifname);
    return o ? o->ofport : 0;
}

static void put_in(struct fabric *f, uint16_t nid, uint32_t in_port, int vni,
                   enum flow_kind kind, const uint8_t *frame, size_t size)
{
    struct net_packet_in in = { .in_port = in_port,
                                .tun_id = (uint32_t)vni,
                                .kind = kind,
                                .frame = frame,
                                .size = size };
    network_packet_in(f->n, nid, &in, f->now);
}

static size_t ip_frame(uint8_t *frame, int vni, int guest, int to)
{
    struct packet_udp h = { .src = fabric_mac(vni, guest),
                            .dst = fabric_mac(vni, to),
                            .ip_src = fabric_ip(vni, guest),
                            .ip_dst = fabric_ip(vni, to),
                            .port_src = 1000,
                            .port_dst = 2000 };
    return packet_udp(frame, &h, "hello", 5);
}

void fabric_miss(struct fabric *f, uint16_t nid, int vni, int guest, int to)
{
    uint8_t frame[PACKET_MAX];
    size_t size = ip_frame(frame, vni, guest, to);
    put_in(f, nid, ofport_of(f, nid, vni, guest), vni, FLOW_BASE, frame, size);
}

void fabric_copy(struct fabric *f, uint16_t nid, int vni, int guest)
{
    uint8_t frame[PACKET_MAX];
    size_t size = ip_frame(frame, vni, guest, 99);
    put_in(f, nid, ofport_of(f, nid, vni, guest), 0, FLOW_PREPARE, frame, size);
}

void fabric_arp(struct fabric *f, uint16_t nid, int vni, int guest,
                uint32_t target)
{
    uint8_t frame[PACKET_MAX];
    struct mac mac = fabric_mac(vni, guest), none = { { 0 } };
    size_t size =
        packet_arp(frame, mac, mac_of_u64(0xffffffffffff), ARP_REQUEST, mac,
                   fabric_ip(vni, guest), none, target);
    put_in(f, nid, ofport_of(f, nid, vni, guest), vni, FLOW_BASE, frame, size);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(a, b);
}

const char *fabric_flows(struct fabric *f, uint16_t nid, uint8_t table,
                         const char *part)
{
    static char texts[4][8192];
    static int next;
    static char lines[200][400];
    char *text = texts[next++ % 4];
    size_t n = 0, used = 0;
    for (size_t i = 0; i < f->tables[nid].n && n < 200; i++) {
        const struct net_flow *x = &f->tables[nid].v[i];
        char line[400];
        snprintf(line, sizeof line, "%u %.150s %.200s\n", x->priority, x->match,
                 x->actions);
        if (x->table == table && strstr(line, part))
            memcpy(lines[n++], line, sizeof line);
    }
    qsort(lines, n, sizeof lines[0], compare_lines);
    *text = '\0';
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, 8192 - used, "%s", lines[i]);
    return text;
}

void fabric_latency(struct fabric *f, int a, int b, int rtt_ms)
{
    SC_AUTO(cjson_free)
    cJSON *j =
        parse("{\"pairs\":[{\"a\":%d,\"b\":%d,\"rtt_ms\":%d}]}", a, b, rtt_ms);
    cr_assert_eq(network_latency_set(f->n, j, NULL), 0);
}

/* A guest that runs at 'nid' and is attached there. */
static uint32_t run(struct fabric *f, int vni, int guest, uint16_t nid)
{
    fabric_port(f, vni, guest, nid);
    return fabric_attach(f, vni, guest, nid);
}

#define M(vni, g) "02:00:00:00:" vni ":" g
#define PAIR(src, dst)                                                         \
    "100 tun_id=1,dl_src=" M("01", src) ",dl_dst=" M("01", dst)

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

Test(network, preparing_changes_no_way_that_is_in_use)
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

Test(network, preparing_puts_in_what_the_guest_will_need)
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

Test(network, the_first_packet_at_the_new_place_turns_every_switch)
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

Test(network, after_the_end_only_the_new_place_may_speak)
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

Test(network, the_controllers_word_turns_a_silent_guest)
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

Test(network, a_migration_given_up_leaves_no_trace)
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

Test(network, a_guest_that_comes_back_is_followed)
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

Test(network, preparing_for_a_switch_that_is_away_is_refused)
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

Test(network, after_a_restart_the_switches_keep_their_flows)
{
    struct fabric f, g;
    fabric_open(&f, 3);
    run(&f, 1, 0x11, 1);
    run(&f, 1, 0x12, 2);
    fabric_miss(&f, 1, 1, 0x11, 0x12);

    memset(&g, 0, sizeof g);
    g.now = 5000;
    struct net_out out = {
        &g, on_flow, on_packet, on_sync, on_random, on_seen
    };
    g.n = network_new(&out);
    char before[4][8192];
    for (uint16_t nid = 1; nid <= 3; nid++) {
        snprintf(before[nid], sizeof before[nid], "%s",
                 fabric_flows(&f, nid, 2, ""));
        g.tables[nid] = f.tables[nid];
        f.tables[nid] = (struct flow_list){ 0 };
        struct net_switch_port ports[3];
        size_t n = net_switch_get(f.n, nid)->n_ports;
        memcpy(ports, net_switch_get(f.n, nid)->ports, n * sizeof *ports);
        network_switch_up(g.n, nid, ports, n, g.now);
    }
    cr_expect_eq(g.n_synced, 0, "nothing is touched before the state is known");
    SC_AUTO(cjson_free)
    cJSON *state = parse("{\"nodes\":[],\"networks\":[],\"ports\":[]}");
    cJSON *ports = cJSON_GetObjectItem(state, "ports");
    cJSON_AddItemToArray(cJSON_GetObjectItem(state, "networks"),
                         network_json(1));
    cJSON_AddItemToArray(ports, port_json(1, 0x11, 1));
    cJSON_AddItemToArray(ports, port_json(1, 0x12, 2));
    cr_assert_eq(network_state_set(g.n, state, NULL), 0);
    cr_expect_eq(g.n_synced, 3);
    for (uint16_t nid = 1; nid <= 3; nid++)
        cr_expect_str_eq(fabric_flows(&g, nid, 2, ""), before[nid], "switch %u",
                         nid);
    cr_expect_eq(g.n->n_pairs, 2);
    fabric_close(&f);
    fabric_close(&g);
}

Test(network, a_switch_that_reconnects_is_compared_not_wiped)
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

Test(network, a_bad_state_changes_nothing)
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

Test(network, a_port_that_is_deleted_takes_its_flows_along)
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

Test(network, many_pairs_are_kept_and_removed_right)
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

/* fabric - switches in memory for the tests of network.c: they keep the flows
 * they are told and the packets they are sent.
 *
 * Switch N has tunnel port vxM as port M (M != N), and guests' ports from 10
 * on.  Guest G of network V has MAC 02:00:00:00:VV:GG and IP 10.VV.0.GG. */
#ifndef SC_TEST_FABRIC_H
#define SC_TEST_FABRIC_H

#include "network/dhcp.h"
#include "network/network_state.h"
#include "network/spoof.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { FABRIC_MAX = 5, SENT_MAX = 256 };

struct sent {
    uint16_t nid;
    char actions[128];
    uint8_t frame[PACKET_MAX];
    size_t size;
};
struct fabric {
    struct network *n;
    struct flow_list tables[FABRIC_MAX + 1]; /* By nid. */
    struct sent sent[SENT_MAX];
    size_t n_sent, n_synced, n_changes;
    uint64_t now, random;
    char seen[512]; /* "ID-digits@nid " of each port_seen. */
    cJSON *state;
    uint32_t next_ofport[FABRIC_MAX + 1];
};

/* 'n' switches, connected, with links seen; network 'vni' 1 is there. */
void fabric_open(struct fabric *f, uint16_t n);
void fabric_close(struct fabric *f);
void fabric_up(struct fabric *f, uint16_t nid, uint16_t n);
/* Tells the network of a guest; and attaches it (returns the ofport). */
void fabric_port(struct fabric *f, int vni, int guest, uint16_t nid);
uint32_t fabric_attach(struct fabric *f, int vni, int guest, uint16_t nid);
void fabric_network(struct fabric *f, int vni);
const char *fabric_id(int vni, int guest); /* Static buffers, a few. */
struct mac fabric_mac(int vni, int guest);
uint32_t fabric_ip(int vni, int guest);
/* A frame of 'guest' to 'to' comes up from table 2 of 'nid'. */
void fabric_miss(struct fabric *f, uint16_t nid, int vni, int guest, int to);
void fabric_arp(struct fabric *f, uint16_t nid, int vni, int guest,
                uint32_t target);
/* A copy by the preparation rule. */
void fabric_copy(struct fabric *f, uint16_t nid, int vni, int guest);
/* Flows of 'nid' that match 'table' and have 'part' in their text, sorted, as
 * "priority match actions" lines in a static buffer. */
const char *fabric_flows(struct fabric *f, uint16_t nid, uint8_t table,
                         const char *part);
void fabric_latency(struct fabric *f, int a, int b, int rtt_ms);
/* Answers every spoof packet sent since, over links for which 'works' is not
 * false (NULL: all). */
void fabric_spoof(struct fabric *f, bool (*works)(uint16_t from, uint16_t to));

/* --- how ------------------------------------------------------------------ */

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

static inline void on_flow(void *arg, uint16_t nid, bool add,
                           const struct net_flow *n)
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

static inline void on_packet(void *arg, uint16_t nid, const char *actions,
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
static inline void on_sync(void *arg, uint16_t nid)
{
    struct fabric *f = arg;
    struct flow_list old = f->tables[nid], wanted = { 0 };
    f->n_synced++;
    f->tables[nid] = (struct flow_list){ 0 };
    for (size_t i = 0; i < old.n; i++) {
        unsigned vni, s[6], d[6];
        if (old.v[i].kind == FLOW_PAIR &&
            sscanf(old.v[i].match,
                   "tun_id=%u,dl_src=%x:%x:%x:%x:%x:%x,dl_dst=%x:%x:%x:%x:%x:"
                   "%x",
                   &vni, s, s + 1, s + 2, s + 3, s + 4, s + 5, d, d + 1, d + 2,
                   d + 3, d + 4, d + 5) == 13 &&
            network_pair_found(f->n, nid, vni, fabric_mac((int)s[4], (int)s[5]),
                               fabric_mac((int)d[4], (int)d[5])))
            on_flow(f, nid, true, &old.v[i]);
    }
    network_wanted(f->n, nid, &wanted);
    for (size_t i = 0; i < wanted.n; i++)
        on_flow(f, nid, true, &wanted.v[i]);
    flow_list_clear(&wanted);
    flow_list_clear(&old);
}

static inline uint64_t on_random(void *arg)
{
    struct fabric *f = arg;
    return f->random += UINT64_C(0x9e3779b97f4a7c15);
}

static inline void on_seen(void *arg, const struct net_port *p, uint16_t nid)
{
    struct fabric *f = arg;
    size_t used = strlen(f->seen);
    snprintf(f->seen + used, sizeof f->seen - used, "%.8s@%u ", p->id, nid);
}

static inline cJSON *parse(const char *fmt, ...) SC_PRINTF(1, 2);
static inline cJSON *parse(const char *fmt, ...)
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

static inline cJSON *network_json(int vni)
{
    return parse("{\"id\":\"%s\",\"vni\":%d,\"cidr\":\"10.%d.0.0/24\","
                 "\"gateway\":\"10.%d.0.1\",\"mtu\":1400}",
                 fabric_id(vni, 0), vni, vni, vni);
}

static inline cJSON *port_json(int vni, int guest, uint16_t nid)
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

static inline struct net_port port_of(int vni, int guest)
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

static inline void set_state(struct fabric *f)
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
static inline uint32_t ofport_of(struct fabric *f, uint16_t nid, int vni,
                                 int guest)
{
    struct net_port p = port_of(vni, guest);
    const struct net_switch_port *o =
        net_switch_port_named(net_switch_get(f->n, nid), p.ifname);
    return o ? o->ofport : 0;
}

static inline void put_in(struct fabric *f, uint16_t nid, uint32_t in_port,
                          int vni, enum flow_kind kind, const uint8_t *frame,
                          size_t size)
{
    struct net_packet_in in = { .in_port = in_port,
                                .tun_id = (uint32_t)vni,
                                .kind = kind,
                                .frame = frame,
                                .size = size };
    network_packet_in(f->n, nid, &in, f->now);
}

static inline size_t ip_frame(uint8_t *frame, int vni, int guest, int to)
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

static inline int compare_lines(const void *a, const void *b)
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
static inline uint32_t run(struct fabric *f, int vni, int guest, uint16_t nid)
{
    fabric_port(f, vni, guest, nid);
    return fabric_attach(f, vni, guest, nid);
}

#define M(vni, g) "02:00:00:00:" vni ":" g
#define PAIR(src, dst)                                                         \
    "100 tun_id=1,dl_src=" M("01", src) ",dl_dst=" M("01", dst)

#endif

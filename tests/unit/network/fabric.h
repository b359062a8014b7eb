/* fabric - switches in memory for the tests of network.c: they keep the flows
 * they are told and the packets they are sent.
 *
 * Switch N has tunnel port vxM as port M (M != N), and guests' ports from 10
 * on.  Guest G of network V has MAC 02:00:00:00:VV:GG and IP 10.VV.0.GG. */
#ifndef SC_TEST_FABRIC_H
#define SC_TEST_FABRIC_H

#include "network/network_state.h"

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

#endif

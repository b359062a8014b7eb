/* Packets that come up from a switch, with whatever they claim, into a network
 * of two switches and two guests.  The first bytes choose switch, port, VNI and
 * flow; the rest is the frame. */
#include "network/network.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_flow(void *arg, uint16_t nid, bool add, const struct net_flow *f)
{
    char text[FLOW_TEXT_MAX];
    (void)arg;
    (void)nid;
    if (add)
        flow_text(f, text);
    else
        flow_key_text(f, text);
}

static void on_packet(void *arg, uint16_t nid, const char *actions,
                      const void *frame, size_t size)
{
    struct packet p;
    (void)arg;
    (void)nid;
    (void)actions;
    (void)!packet_decode(frame, size, &p);
}

static void on_sync(void *arg, uint16_t nid)
{
    (void)arg;
    (void)nid;
}

static uint64_t on_random(void *arg)
{
    (void)arg;
    return 4;
}

static void on_seen(void *arg, const struct net_port *p, uint16_t nid)
{
    (void)arg;
    (void)p;
    (void)nid;
}

#define NET "00000001-0000-4000-8000-000000000000"
#define PORT1 "11111111-1100-4000-8000-000000000000"
#define PORT2 "22222222-2200-4000-8000-000000000000"

static struct network *make(void)
{
    static const struct net_out out = { NULL,    on_flow,   on_packet,
                                        on_sync, on_random, on_seen };
    static const struct net_switch_port ports1[] = { { 2, "vx2" },
                                                     { 7, "sc1111111111" } };
    static const struct net_switch_port ports2[] = { { 1, "vx1" },
                                                     { 7, "sc2222222222" },
                                                     { 8, "sc1111111111" } };
    SC_AUTO(cjson_free)
    cJSON *state = cJSON_Parse(
        "{\"nodes\":[],\"networks\":[{\"id\":\"" NET "\",\"vni\":1,\"cidr\":"
        "\"10.1.0.0/24\",\"gateway\":\"10.1.0.1\"}],\"ports\":[{\"id\":\"" PORT1
        "\",\"network_id\":\"" NET "\",\"mac\":\"02:00:00:00:00:01\",\"ip\":"
        "\"10.1.0.11\",\"nid\":1},{\"id\":\"" PORT2 "\",\"network_id\":\"" NET
        "\",\"mac\":\"02:00:00:00:00:02\",\"ip\":\"10.1.0.12\",\"nid\":2}]}");
    struct network *n = network_new(&out);
    if (network_state_set(n, state, NULL) < 0)
        abort();
    network_switch_up(n, 1, ports1, 2, 1);
    network_switch_up(n, 2, ports2, 3, 1);
    network_tick(n, 1);
    if (network_migrate_prepare(n, PORT1, 1, 2, NULL) < 0)
        abort();
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    SC_AUTO(network_free) struct network *n = make();
    struct net_packet_in in = { .in_port = data[1],
                                .tun_id = data[2],
                                .kind = data[3] % 8,
                                .frame = data + 4,
                                .size = size - 4 };
    network_packet_in(n, data[0] % 4, &in, 1000);
    network_packet_in(n, data[0] % 4, &in, 1001);
    network_tick(n, 20000);
    return 0;
}

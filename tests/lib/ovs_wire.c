/* ovs_wire - node/ovs.h from the command line, for integration tests.
 *
 * usage: sc-ovs-wire DB_SOCKET NAME DATAPATH NID CONTROLLER PKI_DIR OP...
 *   makes the bridge, then does each OP in order: mesh=1:10.0.0.1,2:10.0.0.2
 *   (mesh= : none), add=PORT_ID, del=PORT_ID, retain=PORT_ID,... (retain= :
 *   none).  PKI_DIR "-": no TLS.  Prints "ok WHAT" or "WHAT: error"; exit 1
 *   after an error. */
#include "common/loop.h"
#include "node/ovs.h"

#include <stdio.h>

struct wire {
    struct sc_loop *loop;
    struct ovs *ovs;
    char **ops;
    const char *now;
    int failed;
};

static void next(void *arg, const struct sc_err *err);

static size_t split(char *list, char *items[], size_t max)
{
    size_t n = 0;
    for (char *s = strtok(list, ","); s && n < max; s = strtok(NULL, ","))
        items[n++] = s;
    return n;
}

static void begin(struct wire *w, char *op)
{
    char ifname[OVS_IFNAME_LEN + 1], *items[64], *value = strchr(op, '=');
    char names[64][OVS_IFNAME_LEN + 1];
    const char *ifnames[64];
    struct ovs_peer peers[64];
    size_t n;
    w->now = op;
    if (!value) {
        fprintf(stderr, "bad operation %s\n", op);
        exit(2);
    }
    *value++ = '\0';
    if (strcmp(op, "mesh") == 0) {
        n = split(value, items, 64);
        for (size_t i = 0; i < n; i++) {
            char *colon = strchr(items[i], ':');
            if (!colon)
                exit(2);
            peers[i] = (struct ovs_peer){ (uint16_t)atoi(items[i]), colon + 1 };
        }
        ovs_set_mesh(w->ovs, peers, n, next, w);
    } else if (strcmp(op, "add") == 0) {
        ovs_ifname(value, ifname);
        struct ovs_port p = { ifname, value, NULL };
        ovs_add_port(w->ovs, &p, next, w);
    } else if (strcmp(op, "del") == 0) {
        ovs_ifname(value, ifname);
        ovs_del_port(w->ovs, ifname, next, w);
    } else if (strcmp(op, "retain") == 0) {
        n = split(value, items, 64);
        for (size_t i = 0; i < n; i++) {
            ovs_ifname(items[i], names[i]);
            ifnames[i] = names[i];
        }
        ovs_retain_ports(w->ovs, ifnames, n, next, w);
    } else {
        fprintf(stderr, "bad operation %s\n", op);
        exit(2);
    }
}

static void next(void *arg, const struct sc_err *err)
{
    struct wire *w = arg;
    if (err->code) {
        printf("%s: %s\n", w->now, err->text);
        w->failed = 1;
    } else {
        printf("ok %s\n", w->now);
    }
    if (*w->ops)
        begin(w, *w->ops++);
    else
        sc_loop_stop(w->loop);
}

int main(int argc, char *argv[])
{
    struct sc_err err;
    char ca[512], cert[512], key[512];
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    SC_AUTO(ovs_free) struct ovs *ovs = NULL;
    if (argc < 7) {
        fprintf(stderr, "usage: sc-ovs-wire DB NAME DATAPATH NID CONTROLLER "
                        "PKI_DIR OP...\n");
        return 2;
    }
    snprintf(ca, sizeof ca, "%s/ca.crt", argv[6]);
    snprintf(cert, sizeof cert, "%s/node.crt", argv[6]);
    snprintf(key, sizeof key, "%s/node.key", argv[6]);
    bool tls = strcmp(argv[6], "-") != 0;
    struct ovs_bridge b = { .name = argv[2],
                            .datapath = argv[3],
                            .nid = (uint16_t)atoi(argv[4]),
                            .controller = argv[5],
                            .ca_file = tls ? ca : NULL,
                            .cert_file = tls ? cert : NULL,
                            .key_file = tls ? key : NULL };
    if (sc_loop_new(true, &loop, &err) < 0 ||
        ovs_new(loop, argv[1], &ovs, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 2;
    }
    struct wire w = {
        .loop = loop, .ovs = ovs, .ops = argv + 7, .now = "bridge"
    };
    ovs_ensure_bridge(ovs, &b, next, &w);
    sc_loop_run(loop);
    return w.failed;
}

/* dhcp - the DHCP server of the tenant networks: one request in, one answer
 * out.
 *
 * Used by network.c.  Pure: leases are the ports' fixed addresses, so there is
 * no lease state and a restart forgets nothing.  A client that asks for, or
 * renews, an address that is not its port's gets a NAK and starts again.
 * Times are in seconds, as in the protocol.
 * Source: RFC 2131, RFC 2132 (options), RFC 3442 (classless routes). */
#ifndef SC_NETWORK_DHCP_H
#define SC_NETWORK_DHCP_H

#include "network/packet.h"

enum {
    DHCP_SERVER_PORT = 67,
    DHCP_CLIENT_PORT = 68,
    DHCP_LEASE_S = 24 * 3600,
    DHCP_DISCOVER = 1,
    DHCP_OFFER,
    DHCP_REQUEST,
    DHCP_DECLINE,
    DHCP_ACK,
    DHCP_NAK,
    DHCP_RELEASE,
    DHCP_INFORM,
};

/* What a client said. */
struct dhcp_message {
    uint8_t op; /* 1: request. */
    uint32_t xid;
    uint16_t flags;
    uint32_t ciaddr; /* What it says it has; 0: nothing. */
    struct mac chaddr;
    uint8_t type;       /* DHCP_*. */
    uint32_t requested; /* Option 50; 0: absent. */
    uint32_t server_id; /* Option 54; 0: absent. */
    uint8_t client_id[255];
    uint8_t client_id_size; /* Option 61; 0: absent; sent back (RFC 6842). */
};
/* 0, or -EBADMSG: not a DHCP message (cut short, no cookie, no type). */
int dhcp_decode(const uint8_t *payload, size_t size,
                struct dhcp_message *ret) SC_MUST_CHECK;

/* What the asking port has. */
struct dhcp_facts {
    struct mac mac;         /* Of the port. */
    uint32_t ip;            /* Its fixed address. */
    uint32_t gateway;       /* 0: none. */
    struct mac gateway_mac; /* Sender of the answer. */
    uint32_t server;        /* Server identifier: the gateway's or a reserved
                               address; never 0. */
    uint32_t dns;           /* 0: none. */
    uint8_t prefix_len;
    uint16_t mtu;
};
/* Writes the answering frame to 'frame' (PACKET_MAX bytes) and its size to
 * '*ret_size'; 0 bytes: nothing to answer (release, decline, another server
 * chosen).  Returns the DHCP type answered with, 0: none. */
int dhcp_answer(const struct dhcp_message *q, const struct dhcp_facts *f,
                uint8_t *frame, size_t *ret_size);

#endif

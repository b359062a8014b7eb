/* probes_measure - what this machine can do, tried out.
 *
 * Each function blocks, for seconds at worst, and may crash or hang where a
 * kernel or hypervisor does not keep its word: it is run in a process of its
 * own, with a time limit (probes_main.c).  probes_decide.h says what a result
 * means. */
#ifndef SC_NODE_PROBES_MEASURE_H
#define SC_NODE_PROBES_MEASURE_H

#include "node/probe.h"
#include "node/probes_decide.h"

#include <netinet/in.h>

enum { PROBES_PEERS_MAX = 8 };

/* What the child is asked, from its standard input. */
struct probes_peer {
    char name[64];
    struct sockaddr_in6 at; /* Its probe port. */
};
struct probes_ask {
    char hypervisor[16], state_dir[256], address[64];
    uint8_t nonce[PROBE_NONCE];
    uint16_t nid;
    struct probes_peer peers[PROBES_PEERS_MAX];
    unsigned n_peers;
    struct clock_facts clock;
};

typedef void probes_measure_fn(const struct probes_ask *q,
                               struct probe_result *ret);
/* probes_cpu.c */
probes_measure_fn probes_cpuid, probes_kvm;
/* probes_io.c */
probes_measure_fn probes_clock, probes_disk, probes_nic;
/* probes_mtu.c */
probes_measure_fn probes_mtu;

/* --- parts, for the tests ------------------------------------------------- */

/* 1: CPUID of this process can be made to fault (it did); 0: it cannot. */
int probes_cpuid_faults(void);
enum kvm_stage probes_kvm_try(int *ret_code);
/* Writes at most 'bytes', for about 'ms' at most, into an unnamed file. */
void probes_disk_try(const char *folder, uint64_t bytes, uint64_t ms,
                     struct disk_facts *ret);
/* The interface that has 'address' (text); "" if none has. */
void probes_nic_of(const char *address, char ret[16]);

/* The search for the largest packet that passes: 'lo' is known to pass, 'hi'
 * is known not to.  Common sizes of paths are tried first.  0: the end. */
unsigned probes_mtu_next(unsigned lo, unsigned hi);
/* Bytes of the largest IP packet that the peer echoes (of its own probe
 * port); 0: it does not answer.  'most': what our interface takes. */
unsigned probes_mtu_to(const struct probes_ask *q,
                       const struct sockaddr_in6 *to, unsigned most);

#endif

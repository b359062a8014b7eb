/* probes_decide - what a measurement of this machine means.
 *
 * Used by the probing child (probes_main.c) and its measurements.  Pure.  A
 * probe is 'ok' if nothing bad follows from what was found; else 'why' says
 * what does, and what to do.
 * Source: docs/protocols/provider.md ("What a node reports"). */
#ifndef SC_NODE_PROBES_DECIDE_H
#define SC_NODE_PROBES_DECIDE_H

#include "common/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

struct probe_result {
    bool ok;
    char value[200]; /* For people. */
    char why[300];   /* "" if ok. */
};
/* NULL: out of memory. */
cJSON *probe_result_json(const char *name, const struct probe_result *r);

/* 'r' 0 with 'faults', or the -errno of asking (its text in 'why'). */
void probe_decide_cpuid(bool xen, int r, bool faults, const char *why,
                        struct probe_result *ret);

enum kvm_stage {                   /* How far it came. */
                 KVM_STAGE_ABSENT, /* No /dev/kvm, or not to be opened. */
                 KVM_STAGE_OPEN,   /* Opened, and no VM can be made. */
                 KVM_STAGE_VM,     /* A VM, and no processor in it. */
                 KVM_STAGE_CPU,    /* A processor that does not run. */
                 KVM_STAGE_RAN,    /* It ran our instruction. */
};
/* 'flag': /proc/cpuinfo has vmx or svm, without which what looks like KVM is
 * not (seen: a /dev/kvm that runs nothing QEMU needs). */
void probe_decide_kvm(bool xen, enum kvm_stage stage, int code, bool flag,
                      struct probe_result *ret);

struct clock_facts {
    bool heard;             /* The controller's time is known: */
    int64_t offset_us;      /* it is ahead of ours by so much, */
    uint64_t round_trip_us; /* give or take half of this. */
    bool chrony;            /* chronyd answered: */
    double chrony_s;        /* its own estimate of our error, */
    char chrony_source[64]; /* by this source. */
};
void probe_decide_clock(const struct clock_facts *c, struct probe_result *ret);
/* chronyc -c tracking's line; false: not understood. */
bool probe_parse_tracking(const char *line, struct clock_facts *ret);

struct disk_facts {
    int code; /* 0, or the -errno of 'what'. */
    const char *what;
    uint64_t bytes, us; /* Written one after the other, with fsync. */
    uint64_t flush_us;  /* Median of 4 KiB + fdatasync. */
    unsigned n_flushes;
};
void probe_decide_disk(const struct disk_facts *d, struct probe_result *ret);

/* 'ifname' "": none has the address; 'speed_mbit' <= 0: not known. */
void probe_decide_nic(const char *ifname, const char *driver, long speed_mbit,
                      long mtu, struct probe_result *ret);

enum { PROBE_MTU_NEEDED = 1400 }; /* Guests' 1350 and VXLAN's 50 bytes. */
struct mtu_facts {
    unsigned n_peers, n_answered;
    unsigned least; /* Bytes of an IP packet; of the answered ones. */
    char to[64];    /* To whom. */
};
void probe_decide_mtu(const struct mtu_facts *m, struct probe_result *ret);

#endif

/* vmspec - VMSPEC of docs/protocols/rpc.md: what the controller says a VM is.
 *
 * Pure.  Fixed size, nothing to free; memory in MiB. */
#ifndef SC_NODE_VMSPEC_H
#define SC_NODE_VMSPEC_H

#include "common/err.h"
#include "common/json.h"

#include <stdbool.h>
#include <stdint.h>

enum { VM_VOLUMES_MAX = 8, VM_PORTS_MAX = 8, VM_CMDLINE_MAX = 1024 };

struct vm_volume {
    char id[SC_UUID_LEN + 1];
    char dev[16];
    bool readonly;
};
struct vm_port {
    char id[SC_UUID_LEN + 1];
    char mac[18];
    unsigned mtu; /* 0: default */
};
struct vmspec {
    char id[SC_UUID_LEN + 1], name[64];
    uint64_t epoch; /* At least 1. */
    unsigned vcpus;
    uint64_t memory_mib;
    char kernel_volume[SC_UUID_LEN + 1], ramdisk_volume[SC_UUID_LEN + 1]; /* ""
                                                                       none */
    char cmdline[VM_CMDLINE_MAX + 1];
    unsigned n_volumes, n_ports;
    struct vm_volume volumes[VM_VOLUMES_MAX];
    struct vm_port ports[VM_PORTS_MAX];
};
/* 0, or -EINVAL with 'err' naming the field. */
int vmspec_decode(const cJSON *o, struct vmspec *ret,
                  struct sc_err *err) SC_MUST_CHECK;
/* The same as an object (what vmspec_decode took, no more); NULL: memory. */
cJSON *vmspec_encode(const struct vmspec *s) SC_MUST_CHECK;

#endif

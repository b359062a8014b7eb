/* objects - what the cluster consists of: nodes, networks, images, VMs; and
 * their stored form.
 *
 * Used by sc-controller.  Plain values of fixed size, so copying one is an
 * assignment and nothing needs freeing.  x_to_json gives the stored form (all
 * fields; the API's form, with names looked up, is the controller's);
 * x_from_json reads it back.  Pure; thread-safe.
 * Units: _at ms since 1970, _mib MiB, sizes bytes.  "" is "none" for every id.
 * Errors: from_json -EINVAL with 'err' naming the field; to_json NULL when out
 * of memory. */
#ifndef SC_MODEL_OBJECTS_H
#define SC_MODEL_OBJECTS_H

#include "common/err.h"
#include "common/json.h"
#include "model/states.h"

#include <stdint.h>

enum {
    OBJ_ID = SC_UUID_LEN + 1,
    OBJ_NAME = 64,
    OBJ_TEXT = 512,
    OBJ_CMDLINE = 1024,
    OBJ_ADDRESS = 256,
    VM_VOLUMES_MAX = 8,
    VM_PORTS_MAX = 8,
};

struct node {
    char id[OBJ_ID], name[OBJ_NAME], region[OBJ_NAME], provider[OBJ_NAME];
    char address[OBJ_ADDRESS];
    uint16_t nid; /* Never 0, never given twice. */
    char csr_sha256[65];
    char token_id[OBJ_ID];
    uint16_t storage_port, probe_port, migration_port;
    enum node_state state;
    char hypervisor[32], version[OBJ_NAME];
    char boot_mode[16], boot_reason[OBJ_TEXT];
    uint32_t cpus;
    uint64_t memory_mib, memory_free_mib;
    uint64_t last_seen_at, joined_at;
};
cJSON *node_to_json(const struct node *n);
int node_from_json(const cJSON *j, struct node *ret,
                   struct sc_err *err) SC_MUST_CHECK;

struct network {
    char id[OBJ_ID], name[OBJ_NAME];
    char cidr[32], gateway[16], dns[16], dhcp_start[16], dhcp_end[16];
    uint32_t vni; /* 1 .. 2^24 - 1 */
    uint32_t mtu; /* Inside the tunnel. */
    uint64_t created_at;
};
cJSON *network_to_json(const struct network *n);
int network_from_json(const cJSON *j, struct network *ret,
                      struct sc_err *err) SC_MUST_CHECK;

struct image {
    char id[OBJ_ID], name[OBJ_NAME];
    char kind[16]; /* "disk", "kernel", "ramdisk" */
    uint64_t size;
    char sha256[65];
    enum image_state state;
    char kernel[OBJ_ID], ramdisk[OBJ_ID]; /* Of a disk: images. */
    char cmdline[OBJ_CMDLINE];
    uint64_t min_memory_mib;
    uint64_t created_at;
};
cJSON *image_to_json(const struct image *i);
int image_from_json(const cJSON *j, struct image *ret,
                    struct sc_err *err) SC_MUST_CHECK;

struct vm_volume {
    char id[OBJ_ID], dev[16];
    uint64_t size;
};
struct vm_port {
    char id[OBJ_ID], network[OBJ_ID], mac[18], ip[16];
};
struct vm {
    char id[OBJ_ID], name[OBJ_NAME];
    enum vm_state state;
    uint16_t nid;        /* Where it runs, or begins to; 0: nowhere. */
    uint16_t last_nid;   /* Where it ran last. */
    uint32_t epoch;      /* Of its present (or last) run. */
    uint32_t last_epoch; /* The largest ever given, also to a failed move. */
    uint32_t vcpus;
    uint64_t memory_mib;
    char region[OBJ_NAME]; /* Asked for at creation. */
    char image[OBJ_ID], kernel[OBJ_ID], ramdisk[OBJ_ID];
    char cmdline[OBJ_CMDLINE];
    uint32_t n_volumes, n_ports;
    struct vm_volume volumes[VM_VOLUMES_MAX];
    struct vm_port ports[VM_PORTS_MAX];
    uint64_t created_at;
    char error[OBJ_TEXT];
    char job[OBJ_ID]; /* The job that works on it. */
    /* Not stored: */
    unsigned missed;    /* Heartbeats of its node without it. */
    uint64_t placed_at; /* When it began to hold memory at 'nid'. */
};
cJSON *vm_to_json(const struct vm *v);
int vm_from_json(const cJSON *j, struct vm *ret,
                 struct sc_err *err) SC_MUST_CHECK;

/* Interface name of a port on every hypervisor: "sc" + 10 hex digits. */
void port_iface(const char *port_id, char ret[16]);
/* The port's address on the wire: locally administered, unicast, from the
 * port's id, "02:" + 10 hex digits. */
void port_mac(const char *port_id, char ret[18]);

/* Copies 'text', cut to the room there is; a UTF-8 character is not cut. */
void obj_copy(char *to, size_t size, const char *text);
#define OBJ_SET(member, text) obj_copy((member), sizeof(member), (text))

#endif

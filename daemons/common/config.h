/* config - /etc/supercloud/supercloud.json, one file for all programs of a
 * machine; fields as in docs/protocols/rpc.md.
 *
 * Read once at start.  Unknown keys are an error that names the key.  Strings
 * belong to the config. */
#ifndef SC_COMMON_CONFIG_H
#define SC_COMMON_CONFIG_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

struct sc_config {
    char *node_id; /* UUID. */
    uint16_t nid;  /* 0 on a controller without a node. */
    char *name, *region, *provider;
    bool is_controller, is_node; /* From "roles". */
    char *controller_host;
    uint16_t controller_port;
    char *address; /* Where peers reach this node. */
    char *run_dir, *state_dir, *pki_dir;
    char *hypervisor; /* "xen", "qemu", "fake". */
    char *datapath;   /* "system" (kernel) or "netdev" (userspace). */
    char *ovsdb;      /* Unix socket of ovsdb-server. */
    char *bridge;
    char *provider_program; /* sc-provider; "": beside sc-controller. */
    char *controller_listen, *console_listen, *openflow_listen; /* HOST:PORT */
    uint16_t storage_port, probe_port, migration_port;
    uint64_t reserved_mib; /* Memory never given to guests. */
    /* Whose metadata service tells of revocations: "ec2", "gce", "azure",
     * "openstack", "none"; and where it is if not where it always is, as
     * HOST:PORT (an emulator's; "": not given). */
    char *metadata, *metadata_endpoint;
};

/* 0, or -errno with 'err' naming the file and the key at fault. */
int sc_config_load(const char *path, struct sc_config **ret,
                   struct sc_err *err) SC_MUST_CHECK;
int sc_config_parse(const char *text, const char *what, struct sc_config **ret,
                    struct sc_err *err) SC_MUST_CHECK;
void sc_config_free(struct sc_config *c); /* NULL is allowed. */
SC_CLEANUP(struct sc_config, sc_config_free)
/* "<dir>/<name>", malloc'd; NULL out of memory. */
char *sc_path(const char *dir, const char *name) SC_MUST_CHECK;
/* "HOST", "HOST:PORT", "[V6]:PORT" or a bare IPv6 address -> its parts; without
 * a port 'default_port' (0: the port is required).  0 or -EINVAL. */
enum { SC_HOST_MAX = 253 }; /* Characters: the longest DNS name. */
int sc_host_port_split(const char *text, uint16_t default_port,
                       char ret_host[SC_HOST_MAX + 1],
                       uint16_t *ret_port) SC_MUST_CHECK;

/* Every daemon's control socket, <run_dir>/<program>.sock: daemon.status,
 * daemon.dump, daemon.log_level, daemon.stop, plus the daemon's own methods.
 * 'status' (required) and 'dump' (NULL: as status) return cJSON, taken. */
struct sc_loop;
struct rpc_service;
struct sc_control;
struct cJSON;
int sc_control_new(struct sc_loop *loop, const struct sc_config *c,
                   const char *program, const struct rpc_service *own,
                   struct cJSON *(*status)(void *arg),
                   struct cJSON *(*dump)(void *arg), void *arg,
                   struct sc_control **ret, struct sc_err *err) SC_MUST_CHECK;
void sc_control_free(struct sc_control *c);
SC_CLEANUP(struct sc_control, sc_control_free)

#endif

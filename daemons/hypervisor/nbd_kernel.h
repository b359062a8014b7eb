/* nbd_kernel - block devices /dev/nbdN from NBD exports on Unix sockets.
 *
 * For the xen driver, whose guests' disks are block devices of dom0.  The
 * kernel's client is set up by generic netlink; when the server goes away the
 * device holds its I/O for NBD_DEAD_S seconds, and nbd_kernel_reconnect gives
 * it a new socket.  All calls block (handshake, netlink): worker threads only.
 * Thread-safe: no state but the kernel's.
 * Errors: -errno with 'err' filled; then nothing was attached.
 * Source: linux/nbd-netlink.h; NBD's doc/proto.md (newstyle, NBD_OPT_GO). */
#ifndef SC_HYPERVISOR_NBD_KERNEL_H
#define SC_HYPERVISOR_NBD_KERNEL_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    NBD_DEAD_S = 3600,    /* I/O waits this long for a new connection. */
    NBD_HANDSHAKE_S = 10, /* A silent server is given up after this. */
};

/* Makes a device of export 'name' at Unix socket 'path'; '*ret_index' is its N.
 * -EPROTO: the server is not NBD; -ENOENT: it has no such export; -EBADMSG: the
 * export's size is not 'size' bytes. */
int nbd_kernel_attach(const char *path, const char *name, uint64_t size,
                      bool readonly, int *ret_index,
                      struct sc_err *err) SC_MUST_CHECK;
/* Ends device 'index'; one that is not connected is 0. */
int nbd_kernel_detach(int index, struct sc_err *err) SC_MUST_CHECK;
/* Gives device 'index' a new connection to the same export.  -EEXIST: it does
 * not need one. */
int nbd_kernel_reconnect(int index, const char *path, const char *name,
                         struct sc_err *err) SC_MUST_CHECK;
/* A netlink socket that becomes readable when some device lost its connection
 * (drain it); the caller's.  -errno: the module is not there. */
int nbd_kernel_watch(struct sc_err *err) SC_MUST_CHECK;

/* Pure, for tests: the client's half of the handshake's fixed parts. */
struct nbd_export {
    uint64_t size;  /* bytes */
    uint16_t flags; /* NBD_FLAG_* transmission flags. */
};
/* One reply to NBD_OPT_GO.  Returns 1: more replies follow, 0: done and '*e' is
 * complete, -errno.  'data' has 'size' bytes. */
int nbd_go_reply(uint32_t type, const uint8_t *data, uint32_t size,
                 struct nbd_export *e, bool *has_info, struct sc_err *err);

#endif

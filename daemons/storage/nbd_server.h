/* nbd_server - volumes for guests: NBD on a Unix socket, export name = volume.
 *
 * Fixed newstyle, with structured replies, base:allocation, FLUSH, FUA, TRIM,
 * WRITE_ZEROES, several connections to one export.  Any alignment; 4096 is
 * preferred.  Works with the kernel's client, QEMU, libnbd.
 * Everything through the ring (no system call per request).
 * Limits: NBD_CLIENTS_MAX connections; of each NBD_REQUESTS_MAX requests and
 * NBD_BYTES_MAX bytes under way, beyond which it is not read from. */
#ifndef SC_STORAGE_NBD_SERVER_H
#define SC_STORAGE_NBD_SERVER_H

#include "storage/ring.h"
#include "storage/volume.h"

enum {
    NBD_CLIENTS_MAX = 1024,
    NBD_REQUESTS_MAX = 256,
    NBD_BYTES_MAX = 64 << 20,
};

struct nbd_server;
struct nbd_server_ops {
    void *arg;
    /* The volume of that name, if it is served now; else NULL. */
    struct volume *(*find)(void *arg, const char *name);
    /* Calls 'fn' for each volume that is served. */
    void (*each)(void *arg, void (*fn)(void *ctx, struct volume *v), void *ctx);
};
int nbd_server_new(struct ring *ring, struct vol_env *env, const char *path,
                   const struct nbd_server_ops *ops, struct nbd_server **ret,
                   struct sc_err *err) SC_MUST_CHECK;
void nbd_server_free(struct nbd_server *s); /* NULL is allowed. */
SC_CLEANUP(struct nbd_server, nbd_server_free)
const char *nbd_server_path(const struct nbd_server *s);
/* Ends the connections of 'v'; they are gone once v->connections is 0. */
void nbd_server_kick(struct nbd_server *s, struct volume *v);

#endif

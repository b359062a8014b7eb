/* tls - certificates of the cluster, and TLS between nodes; over OpenSSL.
 *
 * One authority per Supercloud.  Node certificates: CN = node id (UUID),
 * OU = role (node, network), EKU clientAuth only, so that no node can pose as
 * the controller to a client that checks purposes.
 * The controller's: CN = "supercloud-controller", OU = controller, EKU
 * serverAuth + clientAuth, SAN DNS:supercloud-controller + given names.
 * Node-to-node connections use tls_ctx_new, which checks chain, OU and, for a
 * client, that the peer's CN is the node id it wanted.
 * Keys: ECDSA P-256.  TLS 1.3 only; ChaCha20 before AES where AES-NI lacks.
 * Files with keys are written mode 0640 (root:supercloud where the group is),
 * the authority's 0600.
 */
#ifndef SC_COMMON_TLS_H
#define SC_COMMON_TLS_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TLS_PIN_LEN = 64 }; /* SHA-256 of the CA's DER, lower-case hex. */

/* Makes a CA; writes PEM to two files (never over existing ones: -EEXIST). */
int tls_ca_create(const char *cert_file, const char *key_file, const char *name,
                  struct sc_err *err) SC_MUST_CHECK;
/* Makes a key and a PEM request with subject CN, OU (malloc'd '*ret_csr'). */
int tls_request_create(const char *key_file, const char *cn, const char *ou,
                       char **ret_csr, struct sc_err *err) SC_MUST_CHECK;
/* Signs: takes only the public key from 'csr_pem'; subject is what is given
 * here.  'server_names': NULL for EKU clientAuth only; else NULL-ended list of
 * DNS names and IP addresses for the SAN, and EKU serverAuth too. */
int tls_sign(const char *ca_cert_file, const char *ca_key_file,
             const char *csr_pem, const char *cn, const char *ou,
             const char *const server_names[], unsigned days, char **ret_pem,
             struct sc_err *err) SC_MUST_CHECK;
/* SHA-256 of a PEM certificate's DER in hex. */
int tls_pin(const char *cert_pem, char ret[TLS_PIN_LEN + 1],
            struct sc_err *err) SC_MUST_CHECK;
/* Subject of a PEM certificate in a file: CN, and OU ("" if it has none).
 * -EACCES: malformed names. */
enum { TLS_NAME_MAX = 127 }; /* bytes of a CN or OU */
int tls_subject(const char *cert_file, char ret_cn[TLS_NAME_MAX + 1],
                char ret_ou[TLS_NAME_MAX + 1],
                struct sc_err *err) SC_MUST_CHECK;
/* Whole small file (<= 1 MiB), NUL-ended, malloc'd. */
int tls_read_file(const char *path, char **ret,
                  struct sc_err *err) SC_MUST_CHECK;
int tls_write_file(const char *path, const char *text, unsigned mode,
                   struct sc_err *err) SC_MUST_CHECK; /* By rename, fsync. */
void tls_sha256_hex(const void *data, size_t size, char ret[65]);
int tls_random(void *ret, size_t size); /* 0 or -EIO. */

/* --- node to node ------------------------------------------------------- */
struct tls_ctx;  /* Certificates loaded once; thread-safe to share. */
struct tls_conn; /* One connection over a non-blocking socket. */
int tls_ctx_new(const char *ca_file, const char *cert_file,
                const char *key_file, struct tls_ctx **ret,
                struct sc_err *err) SC_MUST_CHECK;
/* The other two uses, for RPC over WebSocket.  TLS_TO_CONTROLLER (clients): the
 * peer must be a server for the name "supercloud-controller", with OU
 * controller.  TLS_AT_CONTROLLER (server): the peer may have no certificate
 * (tls_conn_peer is ""), for joining; one that it has must be ours. */
enum tls_use { TLS_NODES, TLS_TO_CONTROLLER, TLS_AT_CONTROLLER };
int tls_ctx_new_for(enum tls_use use, const char *ca_file,
                    const char *cert_file, const char *key_file,
                    struct tls_ctx **ret, struct sc_err *err) SC_MUST_CHECK;
void tls_ctx_free(struct tls_ctx *c);
SC_CLEANUP(struct tls_ctx, tls_ctx_free)
/* Wraps 'fd' (taken).  Client: 'want_cn' is the node id the peer must have
 * (NULL to the controller).  Server: NULL allows every node.  The process must
 * survive SIGPIPE (sc_loop_new sees to it). */
int tls_conn_new(struct tls_ctx *c, int fd, bool server, const char *want_cn,
                 struct tls_conn **ret, struct sc_err *err) SC_MUST_CHECK;
/* Continue until 0.  -EAGAIN: wait for tls_conn_events on the fd.  -EACCES:
 * the peer's certificate is not what it must be; 'err' says why. */
int tls_conn_handshake(struct tls_conn *c, struct sc_err *err);
/* Bytes moved (> 0), 0: orderly end (read only), -EAGAIN, or -errno. */
long tls_conn_read(struct tls_conn *c, void *buf, size_t size);
long tls_conn_write(struct tls_conn *c, const void *buf, size_t size);
uint32_t tls_conn_events(const struct tls_conn *c);  /* EPOLLIN / EPOLLOUT. */
const char *tls_conn_peer(const struct tls_conn *c); /* CN after handshake. */
const char *tls_conn_role(const struct tls_conn *c); /* OU after handshake. */
int tls_conn_fd(const struct tls_conn *c);
void tls_conn_free(struct tls_conn *c); /* Closes the fd. */
SC_CLEANUP(struct tls_conn, tls_conn_free)

#endif

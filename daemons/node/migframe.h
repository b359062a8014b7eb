/* migframe - the frames of the migration protocol, node to node.
 *
 * Header of 8 bytes, big endian: u8 type, u8 flags, u16 zero, u32 size of the
 * payload (at most MIG_PAYLOAD_MAX).  Pure; the decoder is fuzzed.
 * Source: docs/protocols/migration.md. */
#ifndef SC_NODE_MIGFRAME_H
#define SC_NODE_MIGFRAME_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MIG_HEADER = 8,
    MIG_CHUNK = 256 << 10, /* Memory stream bytes in a DATA frame, at most. */
    MIG_PAYLOAD_MAX = MIG_CHUNK + 4096,
    MIG_VERSION = 1,
    MIG_TICKET_LEN = 64, /* Hex digits. */
};
enum mig_type {
    MIG_HELLO = 1,   /* source: JSON, struct mig_hello */
    MIG_WELCOME,     /* destination: the stream may begin */
    MIG_DATA,        /* source: bytes of the memory stream */
    MIG_STOPPED,     /* source: the guest is suspended */
    MIG_HANDED_OVER, /* source: every volume is handed over */
    MIG_END,         /* source: no more DATA */
    MIG_READY,       /* destination: everything is here, the guest paused */
    MIG_COMMIT,      /* source: it is yours */
    MIG_RUNNING,     /* destination: it runs */
    MIG_ABORT,       /* either, before COMMIT and RUNNING; payload: why */
    MIG_PING,        /* either */
    MIG_N_TYPES,
};
enum { MIG_F_ZSTD = 1 }; /* DATA: u32 raw size, then a zstd frame. */

struct mig_frame {
    enum mig_type type;
    uint8_t flags;
    const uint8_t *payload; /* Borrowed. */
    uint32_t size;          /* bytes of payload */
};
void mig_header_encode(uint8_t ret[MIG_HEADER], enum mig_type type,
                       uint8_t flags, uint32_t size);
/* Takes one frame from the beginning of 'buf'.  Returns its whole length, 0 if
 * more bytes are needed, -EPROTO with 'err' filled if it is not a frame. */
long mig_frame_decode(const uint8_t *buf, size_t size, struct mig_frame *ret,
                      struct sc_err *err);
const char *mig_type_name(enum mig_type t);

struct mig_hello {
    char migration_id[37], vm_id[37];
    uint64_t epoch; /* The one the destination will run it with. */
    char ticket[MIG_TICKET_LEN + 1];
};
/* JSON text, malloc'd; NULL out of memory. */
char *mig_hello_encode(const struct mig_hello *h) SC_MUST_CHECK;
int mig_hello_decode(const uint8_t *payload, size_t size, struct mig_hello *ret,
                     struct sc_err *err) SC_MUST_CHECK;

#endif

/* nbd_proto - the NBD protocol's messages: decoders and encoders.
 *
 * Used by nbd_conn.c.  Pure; a decoder never reads past 'size' and says
 * -EBADMSG, or -EAGAIN for a message that is not complete yet.
 * Source: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md */
#ifndef SC_STORAGE_NBD_PROTO_H
#define SC_STORAGE_NBD_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NBD_MAGIC UINT64_C(0x4e42444d41474943)
#define NBD_OPTION_MAGIC UINT64_C(0x49484156454f5054)
#define NBD_REPLY_MAGIC UINT64_C(0x3e889045565a9)

enum {
    NBD_FLAG_FIXED_NEWSTYLE = 1 << 0,
    NBD_FLAG_NO_ZEROES = 1 << 1,

    NBD_OPT_EXPORT_NAME = 1,
    NBD_OPT_ABORT = 2,
    NBD_OPT_LIST = 3,
    NBD_OPT_INFO = 6,
    NBD_OPT_GO = 7,
    NBD_OPT_STRUCTURED_REPLY = 8,
    NBD_OPT_LIST_META_CONTEXT = 9,
    NBD_OPT_SET_META_CONTEXT = 10,

    NBD_REP_ACK = 1,
    NBD_REP_SERVER = 2,
    NBD_REP_INFO = 3,
    NBD_REP_META_CONTEXT = 4,
    NBD_INFO_EXPORT = 0,
    NBD_INFO_BLOCK_SIZE = 3,

    NBD_T_HAS_FLAGS = 1 << 0,
    NBD_T_READ_ONLY = 1 << 1,
    NBD_T_FLUSH = 1 << 2,
    NBD_T_FUA = 1 << 3,
    NBD_T_TRIM = 1 << 5,
    NBD_T_WRITE_ZEROES = 1 << 6,
    NBD_T_DF = 1 << 7,
    NBD_T_MULTI_CONN = 1 << 8,

    NBD_CMD_READ = 0,
    NBD_CMD_WRITE = 1,
    NBD_CMD_DISC = 2,
    NBD_CMD_FLUSH = 3,
    NBD_CMD_TRIM = 4,
    NBD_CMD_WRITE_ZEROES = 6,
    NBD_CMD_BLOCK_STATUS = 7,
    NBD_CMD_F_FUA = 1 << 0,
    NBD_CMD_F_NO_HOLE = 1 << 1,
    NBD_CMD_F_DF = 1 << 2,
    NBD_CMD_F_REQ_ONE = 1 << 3,
    NBD_CMD_F_FAST_ZERO = 1 << 4,

    NBD_CHUNK_NONE = 0,
    NBD_CHUNK_DATA = 1,
    NBD_CHUNK_HOLE = 2,
    NBD_CHUNK_STATUS = 5,
    NBD_CHUNK_ERROR = 1 << 15 | 1,
    NBD_CHUNK_DONE = 1 << 0, /* Flag. */

    NBD_STATE_HOLE = 1,
    NBD_STATE_ZERO = 2,

    NBD_OPTION_MAX = 4096 + 64, /* Bytes of an option's data. */
    NBD_NAME_MAX = 4096,
    NBD_REQUEST_SIZE = 28,
    NBD_HEAD_MAX = 32, /* Largest header that the encoders make. */
};
#define NBD_REP_ERR_UNSUP (UINT32_C(1) << 31 | 1)
#define NBD_REP_ERR_INVALID (UINT32_C(1) << 31 | 3)
#define NBD_REP_ERR_UNKNOWN (UINT32_C(1) << 31 | 6)
#define NBD_REP_ERR_TOO_BIG (UINT32_C(1) << 31 | 9)

struct nbd_option {
    uint32_t option, size;
    const uint8_t *data; /* 'size' bytes, in the caller's buffer. */
};
/* One option with its data.  0; -EAGAIN; -EBADMSG; -EMSGSIZE: longer than
 * NBD_OPTION_MAX ('ret' has option and size: skip so much). */
int nbd_option_decode(const uint8_t *buf, size_t size, struct nbd_option *ret);

struct nbd_info {     /* NBD_OPT_INFO and NBD_OPT_GO. */
    const char *name; /* Not NUL-ended. */
    uint32_t name_len;
    bool wants_block_size;
};
int nbd_info_decode(const uint8_t *data, size_t size, struct nbd_info *ret);
struct nbd_meta { /* NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_.... */
    const char *name;
    uint32_t name_len;
    uint32_t n_queries;
    bool allocation; /* "base:allocation" or "base:" is among them. */
};
int nbd_meta_decode(const uint8_t *data, size_t size, bool list,
                    struct nbd_meta *ret);

struct nbd_request {
    uint16_t flags, type;
    uint64_t cookie, offset;
    uint32_t length;
};
int nbd_request_decode(const uint8_t *buf, size_t size,
                       struct nbd_request *ret);

/* Each returns the bytes put at 'p'. */
size_t nbd_put_greeting(uint8_t *p); /* 18 */
size_t nbd_put_option_reply(uint8_t *p, uint32_t option, uint32_t reply,
                            uint32_t size);                         /* 20 */
size_t nbd_put_simple(uint8_t *p, uint32_t error, uint64_t cookie); /* 16 */
size_t nbd_put_chunk(uint8_t *p, uint16_t flags, uint16_t type, uint64_t cookie,
                     uint32_t size); /* 20 */
/* The protocol's number for -errno. */
uint32_t nbd_error(int error);

#endif

/* nbd_proto - see nbd_proto.h. */
#include "storage/nbd_proto.h"

#include "storage/bytes.h"

#define REQUEST_MAGIC UINT32_C(0x25609513)
#define SIMPLE_MAGIC UINT32_C(0x67446698)
#define CHUNK_MAGIC UINT32_C(0x668e33ef)

int nbd_option_decode(const uint8_t *buf, size_t size, struct nbd_option *ret)
{
    if (size < 16)
        return -EAGAIN;
    struct wire w = { buf, buf + size, 0 };
    uint64_t magic = wire_be64(&w);
    struct nbd_option o = { 0 };
    o.option = wire_be32(&w);
    o.size = wire_be32(&w);
    if (magic != NBD_OPTION_MAGIC)
        return -EBADMSG;
    if (o.size > NBD_OPTION_MAX) {
        *ret = o;
        return -EMSGSIZE;
    }
    if (size - 16 < o.size)
        return -EAGAIN;
    o.data = buf + 16;
    *ret = o;
    return 0;
}

int nbd_info_decode(const uint8_t *data, size_t size, struct nbd_info *ret)
{
    struct wire w = { data, data + size, 0 };
    struct nbd_info i = { 0 };
    i.name_len = wire_be32(&w);
    if (i.name_len > NBD_NAME_MAX)
        return -EBADMSG;
    i.name = (const char *)wire_bytes(&w, i.name_len);
    uint16_t n = wire_be16(&w);
    for (uint16_t k = 0; k < n && !w.error; k++)
        if (wire_be16(&w) == NBD_INFO_BLOCK_SIZE)
            i.wants_block_size = true;
    if (w.error || w.at != w.end)
        return -EBADMSG;
    *ret = i;
    return 0;
}

static bool names(const uint8_t *query, uint32_t len, const char *name)
{
    return query && len == strlen(name) && memcmp(query, name, len) == 0;
}

int nbd_meta_decode(const uint8_t *data, size_t size, bool list,
                    struct nbd_meta *ret)
{
    struct wire w = { data, data + size, 0 };
    struct nbd_meta m = { 0 };
    m.name_len = wire_be32(&w);
    if (m.name_len > NBD_NAME_MAX)
        return -EBADMSG;
    m.name = (const char *)wire_bytes(&w, m.name_len);
    m.n_queries = wire_be32(&w);
    for (uint32_t i = 0; i < m.n_queries && !w.error; i++) {
        uint32_t len = wire_be32(&w);
        const uint8_t *query = wire_bytes(&w, len);
        if (names(query, len, "base:allocation") ||
            (list && names(query, len, "base:")))
            m.allocation = true;
    }
    if (list && m.n_queries == 0)
        m.allocation = true; /* All there are. */
    if (w.error || w.at != w.end)
        return -EBADMSG;
    *ret = m;
    return 0;
}

int nbd_request_decode(const uint8_t *buf, size_t size, struct nbd_request *ret)
{
    if (size < NBD_REQUEST_SIZE)
        return -EAGAIN;
    struct wire w = { buf, buf + size, 0 };
    uint32_t magic = wire_be32(&w);
    struct nbd_request q;
    q.flags = wire_be16(&w);
    q.type = wire_be16(&w);
    q.cookie = wire_be64(&w);
    q.offset = wire_be64(&w);
    q.length = wire_be32(&w);
    if (magic != REQUEST_MAGIC)
        return -EBADMSG;
    *ret = q;
    return 0;
}

size_t nbd_put_greeting(uint8_t *p)
{
    put_be64(p, NBD_MAGIC);
    put_be64(p + 8, NBD_OPTION_MAGIC);
    put_be16(p + 16, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
    return 18;
}

size_t nbd_put_option_reply(uint8_t *p, uint32_t option, uint32_t reply,
                            uint32_t size)
{
    put_be64(p, NBD_REPLY_MAGIC);
    put_be32(p + 8, option);
    put_be32(p + 12, reply);
    put_be32(p + 16, size);
    return 20;
}

size_t nbd_put_simple(uint8_t *p, uint32_t error, uint64_t cookie)
{
    put_be32(p, SIMPLE_MAGIC);
    put_be32(p + 4, error);
    put_be64(p + 8, cookie);
    return 16;
}

size_t nbd_put_chunk(uint8_t *p, uint16_t flags, uint16_t type, uint64_t cookie,
                     uint32_t size)
{
    put_be32(p, CHUNK_MAGIC);
    put_be16(p + 4, flags);
    put_be16(p + 6, type);
    put_be64(p + 8, cookie);
    put_be32(p + 16, size);
    return 20;
}

uint32_t nbd_error(int error)
{
    switch (-error) {
    case 0:
        return 0;
    case EPERM:
    case EACCES:
    case EROFS:
        return 1;
    case ENOMEM:
        return 12;
    case EINVAL:
        return 22;
    case ENOSPC:
        return 28;
    case EOVERFLOW:
        return 75;
    case EOPNOTSUPP:
        return 95;
    case ESHUTDOWN:
        return 108;
    default:
        return 5; /* EIO */
    }
}

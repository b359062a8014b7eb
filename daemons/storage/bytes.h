/* bytes - numbers in byte order, and a reader with a sticky error.
 *
 * Used by the decoders of this folder (disk layout, NBD, peer protocol).
 * Pure. */
#ifndef SC_STORAGE_BYTES_H
#define SC_STORAGE_BYTES_H

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

static inline void put_le16(uint8_t *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, 2);
}
static inline void put_le32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, 4);
}
static inline void put_le64(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, 8);
}
static inline uint16_t get_le16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return le16toh(v);
}
static inline uint32_t get_le32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return le32toh(v);
}
static inline uint64_t get_le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return le64toh(v);
}
static inline void put_be16(uint8_t *p, uint16_t v)
{
    v = htobe16(v);
    memcpy(p, &v, 2);
}
static inline void put_be32(uint8_t *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, 4);
}
static inline void put_be64(uint8_t *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, 8);
}

/* Reads from [at, end); past the end: zeros, and 'error' becomes -EBADMSG. */
struct wire {
    const uint8_t *at, *end;
    int error;
};
static inline const uint8_t *wire_bytes(struct wire *w, size_t size)
{
    if (w->error || (size_t)(w->end - w->at) < size) {
        w->error = -EBADMSG;
        return NULL;
    }
    w->at += size;
    return w->at - size;
}
static inline uint8_t wire_u8(struct wire *w)
{
    const uint8_t *p = wire_bytes(w, 1);
    return p ? *p : 0;
}
static inline uint16_t wire_be16(struct wire *w)
{
    const uint8_t *p = wire_bytes(w, 2);
    return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}
static inline uint32_t wire_be32(struct wire *w)
{
    const uint8_t *p = wire_bytes(w, 4);
    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
                   (uint32_t)p[2] << 8 | p[3]
             : 0;
}
static inline uint64_t wire_be64(struct wire *w)
{
    uint64_t high = wire_be32(w);
    return high << 32 | wire_be32(w);
}
static inline uint16_t wire_le16(struct wire *w)
{
    const uint8_t *p = wire_bytes(w, 2);
    return p ? get_le16(p) : 0;
}
static inline uint32_t wire_le32(struct wire *w)
{
    const uint8_t *p = wire_bytes(w, 4);
    return p ? get_le32(p) : 0;
}
static inline uint64_t wire_le64(struct wire *w)
{
    const uint8_t *p = wire_bytes(w, 8);
    return p ? get_le64(p) : 0;
}

#endif

/* peer_proto - see peer_proto.h and docs/protocols/peer.md. */
#include "storage/peer_proto.h"

#include "storage/bytes.h"
#include "storage/crc32c.h"

#include <stdio.h>
#include <zstd.h>

#define FRAME_MAGIC UINT32_C(0x31505353) /* "SSP1" */
enum { WANT_SIZE = 12, BLOCK_ENTRY = 16, DATA_HEADER = 16, ZSTD_LEVEL = 1 };
enum { DATA_ZSTD = 1 << 0 };

void peer_frame_put(uint8_t p[PEER_HEADER], const struct peer_frame *f)
{
    put_le32(p, FRAME_MAGIC);
    put_le32(p + 4, f->type);
    put_le32(p + 8, f->tag);
    put_le32(p + 12, f->size);
}

int peer_frame_get(const uint8_t *p, struct peer_frame *ret)
{
    static const uint32_t max[] = {
        [PEER_FETCH] = PEER_ID + 4 + PEER_FETCH_MAX * WANT_SIZE,
        [PEER_DATA] = DATA_HEADER + PEER_FETCH_MAX * (BLOCK_ENTRY + PEER_BLOCK),
        [PEER_HANDOVER] = PEER_PAYLOAD_MAX,
        [PEER_DONE] = 8 + PEER_TEXT_MAX,
        [PEER_PREPARED] = PEER_ID + 12 + PEER_MIGRATION_MAX,
        [PEER_PUSH] = 1 << 20,
    };
    uint32_t type = get_le32(p + 4), size = get_le32(p + 12);
    if (get_le32(p) != FRAME_MAGIC || type == 0 || type >= SC_ARRAY_LEN(max) ||
        size > max[type])
        return -EBADMSG;
    *ret = (struct peer_frame){ (enum peer_type)type, get_le32(p + 8), size };
    return 0;
}

/* A frame with room for 'size' bytes of payload; the payload, or NULL. */
static uint8_t *frame_new(enum peer_type type, uint32_t tag, size_t size,
                          uint8_t **ret, size_t *ret_size)
{
    uint8_t *p = malloc(PEER_HEADER + size);
    if (!p)
        return NULL;
    peer_frame_put(p, &(struct peer_frame){ type, tag, (uint32_t)size });
    *ret = p;
    *ret_size = PEER_HEADER + size;
    return p + PEER_HEADER;
}

int peer_fetch_encode(const struct peer_fetch *q, uint32_t tag, uint8_t **ret,
                      size_t *ret_size)
{
    uint8_t *p = frame_new(
        PEER_FETCH, tag, PEER_ID + 4 + (size_t)q->n * WANT_SIZE, ret, ret_size);
    if (!p)
        return -ENOMEM;
    memcpy(p, q->volume, PEER_ID);
    put_le32(p + PEER_ID, q->n);
    p += PEER_ID + 4;
    for (uint32_t i = 0; i < q->n; i++, p += WANT_SIZE) {
        put_le32(p, q->wants[i].block);
        put_le64(p + 4, q->wants[i].version);
    }
    return 0;
}

int peer_fetch_decode(const uint8_t *p, size_t size, struct peer_fetch *ret)
{
    struct wire w = { p, p + size, 0 };
    const uint8_t *id = wire_bytes(&w, PEER_ID);
    uint32_t n = wire_le32(&w);
    if (w.error || n == 0 || n > PEER_FETCH_MAX)
        return -EBADMSG;
    for (uint32_t i = 0; i < n; i++) {
        ret->wants[i].block = wire_le32(&w);
        ret->wants[i].version = wire_le64(&w);
    }
    if (w.error || w.at != w.end)
        return -EBADMSG;
    memcpy(ret->volume, id, PEER_ID);
    ret->n = n;
    return 0;
}

void peer_reply_clear(struct peer_reply *r)
{
    free(r->data);
    r->data = NULL;
}

int peer_data_encode(uint32_t n, const struct peer_block *blocks,
                     const uint8_t *data, uint32_t tag, uint8_t **ret,
                     size_t *ret_size)
{
    size_t raw = 0, head = DATA_HEADER + (size_t)n * BLOCK_ENTRY;
    for (uint32_t i = 0; i < n; i++)
        raw += peer_block_has_data(&blocks[i]) ? PEER_BLOCK : 0;
    size_t bound = raw ? ZSTD_compressBound(raw) : 0;
    uint8_t *frame;
    size_t ignored;
    uint8_t *p = frame_new(PEER_DATA, tag, head + bound, &frame, &ignored);
    if (!p)
        return -ENOMEM;
    size_t packed =
        raw ? ZSTD_compress(p + head, bound, data, raw, ZSTD_LEVEL) : 0;
    /* Not worth it below an eighth: the peer's time is worth something. */
    bool zstd = raw && !ZSTD_isError(packed) && packed < raw - raw / 8;
    size_t size = zstd ? packed : raw;
    if (!zstd && raw)
        memcpy(p + head, data, raw);
    put_le32(p, n);
    put_le32(p + 4, zstd ? DATA_ZSTD : 0);
    put_le32(p + 8, (uint32_t)raw);
    put_le32(p + 12, (uint32_t)size);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *e = p + DATA_HEADER + (size_t)i * BLOCK_ENTRY;
        put_le32(e, blocks[i].status);
        put_le32(e + 4, blocks[i].crc);
        put_le64(e + 8, blocks[i].version);
    }
    peer_frame_put(
        frame, &(struct peer_frame){ PEER_DATA, tag, (uint32_t)(head + size) });
    *ret = frame;
    *ret_size = PEER_HEADER + head + size;
    return 0;
}

static int check_sums(const struct peer_reply *r)
{
    const uint8_t *at = r->data;
    for (uint32_t i = 0; i < r->n; i++) {
        if (!peer_block_has_data(&r->blocks[i]))
            continue;
        if (crc32c(0, at, PEER_BLOCK) != r->blocks[i].crc)
            return -EBADMSG;
        at += PEER_BLOCK;
    }
    return 0;
}

int peer_data_decode(const uint8_t *p, size_t size, struct peer_reply *ret)
{
    struct wire w = { p, p + size, 0 };
    uint32_t n = wire_le32(&w), flags = wire_le32(&w);
    uint32_t raw = wire_le32(&w), packed = wire_le32(&w);
    if (w.error || n == 0 || n > PEER_FETCH_MAX || (flags & ~DATA_ZSTD))
        return -EBADMSG;
    size_t want = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct peer_block *b = &ret->blocks[i];
        uint32_t status = wire_le32(&w);
        b->crc = wire_le32(&w);
        b->version = wire_le64(&w);
        if (status > PEER_BLOCK_NEWER_ZERO)
            return -EBADMSG;
        b->status = (uint8_t)status;
        want += peer_block_has_data(b) ? PEER_BLOCK : 0;
    }
    const uint8_t *data = wire_bytes(&w, packed);
    if (w.error || w.at != w.end || raw != want ||
        (!(flags & DATA_ZSTD) && packed != raw))
        return -EBADMSG;
    uint8_t *buf = aligned_alloc(PEER_BLOCK, raw ? raw : PEER_BLOCK);
    if (!buf)
        return -ENOMEM;
    if (flags & DATA_ZSTD) {
        size_t got = ZSTD_decompress(buf, raw, data, packed);
        if (ZSTD_isError(got) || got != raw) {
            free(buf);
            return -EBADMSG;
        }
    } else if (raw) {
        memcpy(buf, data, raw);
    }
    ret->n = n;
    ret->error = 0;
    ret->text[0] = 0;
    ret->data = buf;
    ret->data_size = raw;
    if (check_sums(ret) < 0) {
        peer_reply_clear(ret);
        return -EBADMSG;
    }
    return 0;
}

/* A text of at most 'max' bytes with its length before it. */
static bool text_ok(const uint8_t *p, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (p[i] < 0x20 || p[i] > 0x7e)
            return false;
    return true;
}

int peer_handover_encode(const struct peer_handover *h, uint32_t tag,
                         uint8_t **ret, size_t *ret_size)
{
    size_t len = strlen(h->migration);
    size_t size = PEER_ID + 12 + len + h->delta_size;
    if (size > PEER_PAYLOAD_MAX)
        return -EMSGSIZE;
    uint8_t *p = frame_new(PEER_HANDOVER, tag, size, ret, ret_size);
    if (!p)
        return -ENOMEM;
    memcpy(p, h->volume, PEER_ID);
    put_le32(p + PEER_ID, h->epoch);
    put_le32(p + PEER_ID + 4, (uint32_t)len);
    put_le32(p + PEER_ID + 8, h->delta_size);
    memcpy(p + PEER_ID + 12, h->migration, len);
    if (h->delta_size)
        memcpy(p + PEER_ID + 12 + len, h->delta, h->delta_size);
    return 0;
}

int peer_handover_decode(const uint8_t *p, size_t size,
                         struct peer_handover *ret)
{
    struct wire w = { p, p + size, 0 };
    const uint8_t *id = wire_bytes(&w, PEER_ID);
    struct peer_handover h = { 0 };
    h.epoch = wire_le32(&w);
    uint32_t len = wire_le32(&w);
    h.delta_size = wire_le32(&w);
    if (w.error || len > PEER_MIGRATION_MAX)
        return -EBADMSG;
    const uint8_t *text = wire_bytes(&w, len);
    h.delta = wire_bytes(&w, h.delta_size);
    if (w.error || w.at != w.end || !text_ok(text, len) || h.epoch == 0)
        return -EBADMSG;
    memcpy(h.volume, id, PEER_ID);
    memcpy(h.migration, text, len);
    *ret = h;
    return 0;
}

int peer_prepared_encode(const struct peer_prepared *m, uint32_t tag,
                         uint8_t **ret, size_t *ret_size)
{
    size_t len = strlen(m->migration);
    uint8_t *p =
        frame_new(PEER_PREPARED, tag, PEER_ID + 12 + len, ret, ret_size);
    if (!p)
        return -ENOMEM;
    memcpy(p, m->volume, PEER_ID);
    put_le64(p + PEER_ID, m->seq);
    put_le32(p + PEER_ID + 8, (uint32_t)len);
    memcpy(p + PEER_ID + 12, m->migration, len);
    return 0;
}

int peer_prepared_decode(const uint8_t *p, size_t size,
                         struct peer_prepared *ret)
{
    struct wire w = { p, p + size, 0 };
    struct peer_prepared m = { 0 };
    const uint8_t *id = wire_bytes(&w, PEER_ID);
    m.seq = wire_le64(&w);
    uint32_t len = wire_le32(&w);
    if (w.error || len > PEER_MIGRATION_MAX)
        return -EBADMSG;
    const uint8_t *text = wire_bytes(&w, len);
    if (w.error || w.at != w.end || !text_ok(text, len))
        return -EBADMSG;
    memcpy(m.volume, id, PEER_ID);
    memcpy(m.migration, text, len);
    *ret = m;
    return 0;
}

int peer_done_encode(int error, const char *text, uint32_t tag, uint8_t **ret,
                     size_t *ret_size)
{
    size_t len = strnlen(text, PEER_TEXT_MAX);
    uint8_t *p = frame_new(PEER_DONE, tag, 8 + len, ret, ret_size);
    if (!p)
        return -ENOMEM;
    put_le32(p, (uint32_t)-error);
    put_le32(p + 4, (uint32_t)len);
    memcpy(p + 8, text, len);
    return 0;
}

int peer_done_decode(const uint8_t *p, size_t size, struct peer_reply *ret)
{
    struct wire w = { p, p + size, 0 };
    uint32_t error = wire_le32(&w), len = wire_le32(&w);
    if (w.error || error > 4095 || len > PEER_TEXT_MAX)
        return -EBADMSG;
    const uint8_t *text = wire_bytes(&w, len);
    if (w.error || w.at != w.end || !text_ok(text, len))
        return -EBADMSG;
    ret->error = -(int)error;
    ret->n = 0;
    ret->data = NULL;
    ret->data_size = 0;
    memcpy(ret->text, text, len);
    ret->text[len] = 0;
    return 0;
}

/* zpack - see zpack.h. */
#include "node/zpack.h"

#include <string.h>
#include <zstd.h>

enum { LEVEL = 1, SIZE_FIELD = 4 };

struct zpack {
    ZSTD_CCtx *c;
    ZSTD_DCtx *d;
    uint64_t in, out; /* Of this window. */
    uint64_t rest;    /* Bytes still to go unpacked. */
};

int zpack_new(struct zpack **ret)
{
    SC_AUTO(zpack_free) struct zpack *z = calloc(1, sizeof *z);
    if (!z || !(z->c = ZSTD_createCCtx()) || !(z->d = ZSTD_createDCtx()))
        return -ENOMEM;
    *ret = SC_TAKE(z);
    return 0;
}

void zpack_free(struct zpack *z)
{
    if (!z)
        return;
    ZSTD_freeCCtx(z->c);
    ZSTD_freeDCtx(z->d);
    free(z);
}

bool zpack_wanted(const struct zpack *z)
{
    return z->rest == 0;
}

void zpack_skipped(struct zpack *z, uint64_t size)
{
    z->rest = z->rest > size ? z->rest - size : 0;
}

static void account(struct zpack *z, uint64_t in, uint64_t out)
{
    z->in += in;
    z->out += out;
    if (z->in < ZPACK_WINDOW)
        return;
    if (z->out > z->in - z->in / 10)
        z->rest = ZPACK_REST;
    z->in = z->out = 0;
}

uint32_t zpack_pack(struct zpack *z, const void *src, uint32_t size, void *dst,
                    uint32_t dst_size)
{
    uint8_t *p = dst;
    if (dst_size <= SIZE_FIELD || size <= SIZE_FIELD)
        return 0;
    uint32_t room = dst_size < size ? dst_size : size;
    size_t n = ZSTD_compressCCtx(z->c, p + SIZE_FIELD, room - SIZE_FIELD, src,
                                 size, LEVEL);
    if (ZSTD_isError(n)) {
        account(z, size, size);
        return 0;
    }
    for (int i = 0; i < SIZE_FIELD; i++)
        p[i] = (uint8_t)(size >> (24 - 8 * i));
    account(z, size, n + SIZE_FIELD);
    return (uint32_t)n + SIZE_FIELD;
}

int zpack_unpack(struct zpack *z, const void *src, uint32_t size, void *dst,
                 uint32_t dst_size, struct sc_err *err)
{
    const uint8_t *p = src;
    if (size <= SIZE_FIELD)
        return sc_fail(err, -EPROTO, "DATA: too short");
    uint32_t want = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
                    (uint32_t)p[2] << 8 | p[3];
    if (want == 0 || want > dst_size)
        return sc_fail(err, -EPROTO, "DATA: %u bytes unpacked", want);
    size_t n = ZSTD_decompressDCtx(z->d, dst, dst_size, p + SIZE_FIELD,
                                   size - SIZE_FIELD);
    if (ZSTD_isError(n) || n != want)
        return sc_fail(err, -EPROTO, "DATA: damaged");
    return (int)n;
}

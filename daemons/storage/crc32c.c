/* crc32c - see crc32c.h.
 *
 * The instruction has a latency of three cycles and a throughput of one, so
 * a block is cut in three parts whose sums are computed side by side and then
 * joined: moving a sum over n zero bytes is a linear map, kept as four tables
 * of 256 words for the one distance that is used. */
#include "storage/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define POLY UINT32_C(0x82f63b78) /* Reversed. */
enum { THIRD = 1360 };            /* Bytes of each stream: 3 * 1360 + 16. */

static uint32_t tables[8][256];
static uint32_t shift_tables[4][256]; /* Over THIRD zero bytes. */
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static uint32_t shift_zeros(uint32_t crc, size_t size)
{
    while (size--)
        crc = (crc >> 8) ^ tables[0][crc & 0xff];
    return crc;
}

static void make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = (c >> 1) ^ ((c & 1) ? POLY : 0);
        tables[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            tables[k][i] =
                (tables[k - 1][i] >> 8) ^ tables[0][tables[k - 1][i] & 0xff];
    for (int k = 0; k < 4; k++)
        for (uint32_t i = 0; i < 256; i++)
            shift_tables[k][i] = shift_zeros(i << (8 * k), THIRD);
}

static uint32_t by_tables(uint32_t c, const uint8_t *p, size_t size)
{
    for (; size >= 8; size -= 8, p += 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        w ^= c;
        c = tables[7][w & 0xff] ^ tables[6][w >> 8 & 0xff] ^
            tables[5][w >> 16 & 0xff] ^ tables[4][w >> 24 & 0xff] ^
            tables[3][w >> 32 & 0xff] ^ tables[2][w >> 40 & 0xff] ^
            tables[1][w >> 48 & 0xff] ^ tables[0][w >> 56];
    }
    while (size--)
        c = (c >> 8) ^ tables[0][(c ^ *p++) & 0xff];
    return c;
}

uint32_t crc32c_tables(uint32_t crc, const void *data, size_t size)
{
    pthread_once(&tables_once, make_tables);
    return ~by_tables(~crc, data, size);
}

#if defined(__x86_64__)
static uint32_t shift_third(uint32_t c)
{
    return shift_tables[0][c & 0xff] ^ shift_tables[1][c >> 8 & 0xff] ^
           shift_tables[2][c >> 16 & 0xff] ^ shift_tables[3][c >> 24];
}

static inline uint64_t word(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
    return w;
}

__attribute__((target("sse4.2"))) static uint32_t
by_instruction(uint32_t crc, const uint8_t *p, size_t size)
{
    uint64_t a = crc;
    for (; size >= 3 * THIRD; size -= 3 * THIRD, p += 3 * THIRD) {
        uint64_t b = 0, c = 0;
        for (size_t i = 0; i < THIRD; i += 8) {
            a = __builtin_ia32_crc32di(a, word(p + i));
            b = __builtin_ia32_crc32di(b, word(p + THIRD + i));
            c = __builtin_ia32_crc32di(c, word(p + 2 * THIRD + i));
        }
        a = shift_third((uint32_t)a) ^ b;
        a = shift_third((uint32_t)a) ^ c;
    }
    for (; size >= 8; size -= 8, p += 8)
        a = __builtin_ia32_crc32di(a, word(p));
    uint32_t s = (uint32_t)a;
    while (size--)
        s = __builtin_ia32_crc32qi(s, *p++);
    return s;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    pthread_once(&tables_once, make_tables);
    if (__builtin_cpu_supports("sse4.2"))
        return ~by_instruction(~crc, data, size);
    return ~by_tables(~crc, data, size);
}
#else
uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    return crc32c_tables(crc, data, size);
}
#endif

/* slots - see slots.h.  Two bitmaps: used, and backed. */
#include "storage/slots.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

struct slots {
    uint64_t *used, *backed; /* Bit i: slot i. */
    uint32_t n, n_used, n_backed_free;
    uint32_t cursor;       /* Where the next search begins. */
    uint32_t punch_cursor; /* The same for slots_take_spare. */
};

static bool bit(const uint64_t *map, uint32_t i)
{
    return map[i / 64] >> (i % 64) & 1;
}

static void bit_set(uint64_t *map, uint32_t i)
{
    map[i / 64] |= UINT64_C(1) << (i % 64);
}

static void bit_clear(uint64_t *map, uint32_t i)
{
    map[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

struct slots *slots_new(void)
{
    return calloc(1, sizeof(struct slots));
}

void slots_free(struct slots *s)
{
    if (!s)
        return;
    free(s->used);
    free(s->backed);
    free(s);
}

int slots_grow(struct slots *s, uint32_t n)
{
    if (n <= s->n)
        return 0;
    size_t old = ((size_t)s->n + 63) / 64, words = ((size_t)n + 63) / 64;
    if (words > old) {
        uint64_t *used = realloc(s->used, words * 8);
        if (!used)
            return -ENOMEM;
        s->used = used;
        uint64_t *backed = realloc(s->backed, words * 8);
        if (!backed)
            return -ENOMEM;
        s->backed = backed;
        memset(used + old, 0, (words - old) * 8);
        memset(backed + old, 0, (words - old) * 8);
    }
    for (uint32_t i = s->n; i < n; i++)
        bit_set(s->backed, i);
    s->n_backed_free += n - s->n;
    s->n = n;
    return 0;
}

uint32_t slots_size(const struct slots *s)
{
    return s->n;
}

uint32_t slots_n_free(const struct slots *s)
{
    return s->n - s->n_used;
}

uint32_t slots_n_spare(const struct slots *s)
{
    return s->n_backed_free;
}

/* First free slot in [from, to), or 'to'. */
static uint32_t find_free(const struct slots *s, uint32_t from, uint32_t to)
{
    uint32_t i = from;
    while (i < to) {
        uint64_t w = ~s->used[i / 64] >> (i % 64);
        if (w) {
            i += (uint32_t)__builtin_ctzll(w);
            return i < to ? i : to;
        }
        i = (i / 64 + 1) * 64;
    }
    return to;
}

static void take_one(struct slots *s, uint32_t i)
{
    bit_set(s->used, i);
    s->n_used++;
    if (bit(s->backed, i))
        s->n_backed_free--;
    else
        bit_set(s->backed, i);
}

uint32_t slots_take(struct slots *s, uint32_t want, uint32_t *ret_first)
{
    if (s->n_used == s->n || want == 0)
        return 0;
    if (s->cursor >= s->n)
        s->cursor = 0;
    uint32_t first = find_free(s, s->cursor, s->n);
    if (first == s->n)
        first = find_free(s, 0, s->cursor);
    uint32_t n = 0;
    while (n < want && first + n < s->n && !bit(s->used, first + n))
        take_one(s, first + n++);
    s->cursor = first + n;
    *ret_first = first;
    return n;
}

bool slots_take_at(struct slots *s, uint32_t slot)
{
    if (slot >= s->n || bit(s->used, slot))
        return false;
    take_one(s, slot);
    return true;
}

void slots_give(struct slots *s, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < first + n; i++) {
        assert(i < s->n && bit(s->used, i));
        bit_clear(s->used, i);
        s->n_used--;
        if (bit(s->backed, i))
            s->n_backed_free++;
    }
}

uint32_t slots_take_spare(struct slots *s, uint32_t min, uint32_t max,
                          uint32_t *ret_first)
{
    if (s->n_backed_free < min)
        return 0;
    for (int pass = 0; pass < 2; pass++) {
        uint32_t i = pass == 0 ? s->punch_cursor : 0;
        uint32_t end = pass == 0 ? s->n : s->punch_cursor;
        while (i < end) {
            uint32_t n = 0;
            while (n < max && i + n < s->n && !bit(s->used, i + n) &&
                   bit(s->backed, i + n))
                n++;
            if (n >= min) {
                for (uint32_t k = 0; k < n; k++)
                    take_one(s, i + k);
                s->punch_cursor = i + n < s->n ? i + n : 0;
                *ret_first = i;
                return n;
            }
            i += n + 1;
        }
    }
    return 0;
}

void slots_give_punched(struct slots *s, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < first + n; i++)
        bit_clear(s->backed, i);
    slots_give(s, first, n);
}

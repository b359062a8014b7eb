#include "node/ring.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(ring, the_newest_bytes_come_oldest_first)
{
    struct ring *r = calloc(1, sizeof *r);
    char buf[16];
    ring_put(r, "hello", 5);
    ring_put(r, " you", 4);
    cr_expect_eq(ring_newest(r, buf, sizeof buf), 9);
    cr_expect_eq(memcmp(buf, "hello you", 9), 0);
    cr_expect_eq(ring_newest(r, buf, 3), 3);
    cr_expect_eq(memcmp(buf, "you", 3), 0);
    free(r);
}

Test(ring, only_the_newest_size_bytes_are_kept)
{
    struct ring *r = calloc(1, sizeof *r);
    uint8_t *in = malloc(RING_SIZE * 2 + 7), *out = malloc(RING_SIZE + 1);
    for (size_t i = 0; i < RING_SIZE * 2 + 7; i++)
        in[i] = (uint8_t)(i * 31 + i / 251);
    ring_put(r, in, 5);
    ring_put(r, in + 5, RING_SIZE * 2 + 2);
    cr_expect_eq(ring_newest(r, out, RING_SIZE + 1), RING_SIZE);
    cr_expect_eq(memcmp(out, in + RING_SIZE + 7, RING_SIZE), 0);
    cr_expect_eq(r->total, RING_SIZE * 2 + 7);
    free(in);
    free(out);
    free(r);
}

Test(ring, every_way_of_cutting_gives_the_same_bytes)
{
    uint8_t *in = malloc(RING_SIZE + 1000), *out = malloc(RING_SIZE);
    for (size_t i = 0; i < RING_SIZE + 1000; i++)
        in[i] = (uint8_t)(i % 253);
    for (size_t step = 1; step < 200000; step = step * 3 + 1) {
        struct ring *r = calloc(1, sizeof *r);
        for (size_t at = 0; at < RING_SIZE + 1000; at += step) {
            size_t left = RING_SIZE + 1000 - at;
            ring_put(r, in + at, left < step ? left : step);
        }
        cr_expect_eq(ring_newest(r, out, RING_SIZE), RING_SIZE);
        cr_expect_eq(memcmp(out, in + 1000, RING_SIZE), 0, "step %zu", step);
        free(r);
    }
    free(in);
    free(out);
}

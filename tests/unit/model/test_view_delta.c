/* Tests of daemons/model/view_delta.c. */
#include "model/view_delta.h"

#include <criterion/criterion.h>

enum { N = 300 };

static uint64_t draw(uint64_t *state, uint64_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % below;
}

struct cell {
    uint64_t version;
    uint16_t holder;
};

static void check_same(const struct view_delta *d, const struct cell *cells)
{
    for (uint64_t b = 0; b < N; b++) {
        const struct view_run *run = view_delta_get(d, b);
        cr_assert_eq(run ? run->version : 0, cells[b].version, "block %lu", b);
        cr_assert_eq(run ? run->holder : 0, cells[b].holder, "block %lu", b);
    }
    for (size_t i = 1; i < d->n_runs; i++) {
        const struct view_run *a = &d->runs[i - 1], *b = &d->runs[i];
        cr_assert_leq(a->first + a->count, b->first, "runs overlap");
        cr_assert(a->first + a->count < b->first || a->version != b->version ||
                      a->holder != b->holder,
                  "neighbours that are one run");
    }
}

Test(view_delta, is_what_an_array_of_blocks_would_be)
{
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 60; round++) {
        struct cell cells[N] = { 0 };
        SC_AUTO(view_delta_free) struct view_delta *d = view_delta_new();
        SC_AUTO(view_delta_free) struct view_delta *other = view_delta_new();
        for (int i = 0; i < 80; i++) {
            struct view_run run = { .first = draw(&random, N - 40),
                                    .count = 1 + draw(&random, 40),
                                    .version = 1 + draw(&random, 6),
                                    .holder =
                                        (uint16_t)(1 + draw(&random, 3)) };
            bool merge = draw(&random, 4) == 0;
            if (merge) {
                view_delta_clear(other);
                cr_assert_eq(view_delta_put(other, &run), 0);
                cr_assert_eq(view_delta_merge(d, other), 0);
            } else {
                cr_assert_eq(view_delta_put(d, &run), 0);
            }
            for (uint64_t b = run.first; b < run.first + run.count; b++) {
                if (run.version >= cells[b].version)
                    cells[b] = (struct cell){ run.version, run.holder };
            }
            check_same(d, cells);
        }
    }
}

static bool same_run(const struct view_run *a, const struct view_run *b)
{
    return a->first == b->first && a->count == b->count &&
           a->version == b->version && a->holder == b->holder;
}

Test(view_delta, comes_back_from_its_binary_form_unchanged)
{
    uint64_t random = 424242;
    for (int round = 0; round < 200; round++) {
        SC_AUTO(view_delta_free) struct view_delta *d = view_delta_new();
        SC_AUTO(view_delta_free) struct view_delta *back = NULL;
        SC_AUTO(free) void *data = NULL;
        size_t size;
        struct sc_err err;
        uint64_t first = 0;
        for (uint64_t i = draw(&random, 50); i > 0; i--) {
            first += draw(&random, 3) ? draw(&random, 100)
                                      : draw(&random, UINT64_C(1) << 30);
            struct view_run run = {
                first, 1 + draw(&random, 500),
                view_version((uint32_t)draw(&random, 1 << 30),
                             1 + (uint32_t)draw(&random, UINT32_MAX)),
                (uint16_t)(1 + draw(&random, UINT16_MAX))
            };
            cr_assert_eq(view_delta_put(d, &run), 0);
            first += run.count;
        }
        cr_assert_eq(view_delta_encode(d, 0, 0, &data, &size, NULL), 0);
        cr_assert_eq(
            view_delta_decode(data, size, VIEW_BLOCKS_MAX, &back, &err), 0,
            "%s", err.text);
        cr_assert_eq(back->n_runs, d->n_runs);
        for (size_t i = 0; i < d->n_runs; i++)
            cr_assert(same_run(&back->runs[i], &d->runs[i]));
    }
}

Test(view_delta, a_long_one_is_encoded_in_parts_that_together_are_all)
{
    SC_AUTO(view_delta_free) struct view_delta *d = view_delta_new();
    SC_AUTO(view_delta_free) struct view_delta *whole = view_delta_new();
    for (uint64_t i = 0; i < 1000; i++) {
        struct view_run run = { i * 3, 1, 1 + i % 7, 1 };
        cr_assert_eq(view_delta_put(d, &run), 0);
    }
    size_t at = 0, parts = 0;
    while (at < d->n_runs) {
        SC_AUTO(view_delta_free) struct view_delta *part = NULL;
        SC_AUTO(free) void *data = NULL;
        size_t size;
        cr_assert_eq(view_delta_encode(d, at, 200, &data, &size, &at), 0);
        cr_assert_leq(size, (size_t)200);
        cr_assert_eq(view_delta_decode(data, size, 3000, &part, NULL), 0);
        cr_assert_eq(view_delta_merge(whole, part), 0);
        parts++;
    }
    cr_expect_gt(parts, (size_t)5);
    cr_expect_eq(whole->n_runs, d->n_runs);
    cr_expect_eq(view_delta_blocks(whole), (uint64_t)1000);
}

Test(view_delta, a_slice_has_the_blocks_of_its_range_only)
{
    SC_AUTO(view_delta_free) struct view_delta *d = view_delta_new();
    SC_AUTO(view_delta_free) struct view_delta *part = view_delta_new();
    cr_assert_eq(view_delta_put(d, &(struct view_run){ 10, 100, 5, 1 }), 0);
    cr_assert_eq(view_delta_put(d, &(struct view_run){ 200, 10, 6, 2 }), 0);
    cr_assert_eq(view_delta_slice(d, 50, 205, part), 0);
    cr_expect_eq(part->n_runs, (size_t)2);
    cr_expect_eq(part->runs[0].first, 50u);
    cr_expect_eq(part->runs[0].count, 60u);
    cr_expect_eq(part->runs[1].count, 5u);
}

Test(view_delta, refuses_runs_that_cannot_be)
{
    static const struct {
        const char *name;
        struct view_run run;
    } cases[] = {
        { "no blocks", { 0, 0, 1, 1 } },
        { "no version", { 0, 1, 0, 1 } },
        { "no holder", { 0, 1, 1, 0 } },
        { "past the end", { VIEW_BLOCKS_MAX, 1, 1, 1 } },
        { "wraps round", { 1, UINT64_MAX, 1, 1 } },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        SC_AUTO(view_delta_free) struct view_delta *d = view_delta_new();
        cr_expect_eq(view_delta_put(d, &cases[i].run), -EINVAL, "case '%s'",
                     cases[i].name);
        cr_expect_eq(d->n_runs, (size_t)0);
    }
}

static const struct {
    const char *name, *bytes;
    size_t size;
    int want;
} decode_cases[] = {
    { "nothing at all", "", 0, 0 },
    { "no runs", "VD\1\0", 4, 0 },
    { "one run", "VD\1\1\0\1\2\1", 8, 0 },
    { "head only", "VD\1", 3, -EBADMSG },
    { "wrong magic", "XD\1\0", 4, -EBADMSG },
    { "wrong form", "VD\2\0", 4, -EBADMSG },
    { "cut short", "VD\1\1\0\1\2", 7, -EBADMSG },
    { "bytes after the end", "VD\1\0\0", 5, -EBADMSG },
    { "empty run", "VD\1\1\0\0\2\1", 8, -EBADMSG },
    { "version 0", "VD\1\1\0\1\0\1", 8, -EBADMSG },
    { "holder 0", "VD\1\1\0\1\2\0", 8, -EBADMSG },
    { "past the volume's end", "VD\1\1\144\1\2\1", 8, -EBADMSG },
    { "count past the end", "VD\1\1\0\145\2\1", 8, -EBADMSG },
    { "two runs that are one", "VD\1\2\0\1\2\1\0\1\0\1", 12, -EBADMSG },
    { "number not in its shortest form", "VD\1\1\200\0\1\2\1", 9, -EBADMSG },
    { "more runs than bytes", "VD\1\177\0\1\2\1", 8, -EBADMSG },
    { "number over 64 bits",
      "VD\1\1\377\377\377\377\377\377\377\377\377\2\1\2\1", 17, -EBADMSG },
    { "holder over 16 bits", "VD\1\1\0\1\2\200\200\4", 10, -EBADMSG },
};

Test(view_delta, decodes_only_what_is_well_formed)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(decode_cases); i++) {
        SC_AUTO(view_delta_free) struct view_delta *d = NULL;
        struct sc_err err;
        cr_expect_eq(view_delta_decode(decode_cases[i].bytes,
                                       decode_cases[i].size, 100, &d, &err),
                     decode_cases[i].want, "case '%s'", decode_cases[i].name);
    }
}

Test(view_delta, travels_as_text)
{
    SC_AUTO(view_delta_free) struct view_delta *d = view_delta_new();
    SC_AUTO(view_delta_free) struct view_delta *back = NULL;
    cr_assert_eq(view_delta_put(d, &(struct view_run){ 7, 3, 9, 2 }), 0);
    SC_AUTO(free) char *text = view_delta_encode_text(d);
    cr_assert_eq(view_delta_decode_text(text, 100, &back, NULL), 0);
    cr_expect_eq(back->runs[0].first, 7u);
    SC_AUTO(view_delta_free) struct view_delta *bad = NULL;
    cr_expect_eq(view_delta_decode_text("!!", 100, &bad, NULL), -EBADMSG);
}

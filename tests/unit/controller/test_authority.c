/* Tests of daemons/controller/authority.c. */
#include "controller/authority.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const char *const tables[] = { AUTHORITY_TABLES, NULL };
static const char volume_id[] = "00000000-0000-4000-8000-000000000001";
static const char image_id[] = "00000000-0000-4000-8000-000000000002";

enum { BLOCKS = 5000, SIZE = BLOCKS * VIEW_BLOCK_SIZE };

struct fixture {
    struct store *store;
    struct store_txn *t;
    struct sc_err err;
};

static struct fixture open_store(void)
{
    struct fixture f = { 0 };
    cr_assert_eq(store_mem_open(tables, &f.store, NULL), 0);
    cr_assert_eq(store_begin(f.store, true, &f.t, NULL), 0);
    return f;
}

static void end(struct fixture *f)
{
    store_abort(f->t);
    store_close(f->store);
}

static char *delta(uint64_t first, uint64_t count, uint64_t version,
                   uint16_t holder)
{
    SC_AUTO(view_delta_free) struct view_delta *d = view_delta_new();
    struct view_run run = { first, count, version, holder };
    cr_assert_eq(view_delta_put(d, &run), 0);
    return view_delta_encode_text(d);
}

static int flush(struct fixture *f, uint32_t epoch, uint16_t nid,
                 uint64_t first, uint64_t count, uint64_t version)
{
    struct volume v;
    SC_AUTO(free) char *text = delta(first, count, version, nid);
    return authority_flush(f->t, volume_id, epoch, nid, false, text, &v,
                           &f->err);
}

static int open_rw(struct fixture *f, uint32_t epoch, uint16_t nid)
{
    struct volume v;
    return authority_open(f->t, volume_id, true, epoch, nid, &v, &f->err);
}

static int handover(struct fixture *f, uint32_t epoch, uint16_t nid)
{
    struct volume v;
    return authority_handover(f->t, volume_id, epoch, nid, "", &v, &f->err);
}

Test(authority, only_the_allowed_writer_writes)
{
    struct fixture f = open_store();
    cr_assert_eq(authority_create(f.t, volume_id, SIZE, "", NULL), 0);
    cr_expect_eq(open_rw(&f, 0, 1), -ESTALE, "nobody was allowed yet");
    cr_assert_eq(authority_allow(f.t, volume_id, 3, 1, NULL), 0);
    cr_expect_eq(open_rw(&f, 3, 2), -EACCES);
    cr_expect_eq(open_rw(&f, 2, 1), -ESTALE);
    cr_expect_eq(open_rw(&f, 4, 1), -ESTALE);
    cr_expect_eq(open_rw(&f, 3, 1), 0);
    cr_expect_eq(open_rw(&f, 3, 1), 0, "a restarted sc-storage opens again");
    cr_expect_eq(flush(&f, 3, 1, 0, 10, view_version(3, 1)), 0);
    cr_expect_eq(flush(&f, 3, 2, 0, 10, view_version(3, 1)), -EACCES);
    cr_expect_eq(flush(&f, 3, 1, 0, 10, view_version(4, 1)), -EBADMSG,
                 "a version of an epoch to come");
    cr_expect_eq(authority_allow(f.t, volume_id, 3, 2, NULL), -ESTALE);
    cr_expect_eq(authority_allow(f.t, volume_id, 2, 1, NULL), -ESTALE);
    cr_expect_eq(authority_allow(f.t, volume_id, 5, 2, NULL), 0);
    cr_expect_eq(flush(&f, 3, 1, 0, 10, view_version(3, 2)), -ESTALE);
    end(&f);
}

Test(authority, a_handover_fences_the_source)
{
    struct fixture f = open_store();
    cr_assert_eq(authority_create(f.t, volume_id, SIZE, "", NULL), 0);
    cr_assert_eq(authority_allow(f.t, volume_id, 1, 1, NULL), 0);
    cr_assert_eq(open_rw(&f, 1, 1), 0);
    cr_assert_eq(authority_allow_next(f.t, volume_id, 2, 2, NULL), 0);
    cr_expect_eq(flush(&f, 1, 1, 0, 1, view_version(1, 1)), 0,
                 "the source flushes until it is taken over");
    cr_expect_eq(flush(&f, 2, 2, 0, 1, view_version(2, 1)), -ESTALE);
    cr_expect_eq(handover(&f, 2, 3), -ESTALE, "another node");
    cr_expect_eq(handover(&f, 2, 2), 0);
    cr_expect_eq(handover(&f, 2, 2), 0, "repeated");
    cr_expect_eq(flush(&f, 1, 1, 0, 1, view_version(1, 2)), -ESTALE);
    cr_expect_eq(flush(&f, 2, 2, 0, 1, view_version(2, 1)), 0);
    cr_expect_eq(authority_commit_next(f.t, volume_id, 2, NULL), 0);
    cr_expect_eq(authority_cancel_next(f.t, volume_id, 2, NULL), -EALREADY);
    end(&f);
}

Test(authority, a_next_that_was_taken_back_never_writes)
{
    struct fixture f = open_store();
    cr_assert_eq(authority_create(f.t, volume_id, SIZE, "", NULL), 0);
    cr_assert_eq(authority_allow(f.t, volume_id, 1, 1, NULL), 0);
    cr_assert_eq(authority_allow_next(f.t, volume_id, 2, 2, NULL), 0);
    cr_assert_eq(authority_cancel_next(f.t, volume_id, 2, NULL), 0);
    cr_assert_eq(authority_cancel_next(f.t, volume_id, 2, NULL), 0);
    cr_expect_eq(handover(&f, 2, 2), -ESTALE);
    cr_expect_eq(open_rw(&f, 2, 2), -ESTALE);
    cr_expect_eq(flush(&f, 1, 1, 0, 1, view_version(1, 1)), 0);
    end(&f);
}

Test(authority, sealed_volumes_are_parents_and_written_no_more)
{
    struct fixture f = open_store();
    struct volume v;
    cr_assert_eq(authority_create(f.t, image_id, SIZE, "", NULL), 0);
    cr_expect_eq(authority_create(f.t, volume_id, SIZE, image_id, &f.err),
                 -EINVAL, "its parent is still written");
    cr_assert_eq(authority_allow(f.t, image_id, 1, 1, NULL), 0);
    cr_assert_eq(authority_seal(f.t, image_id, NULL), 0);
    cr_expect_eq(authority_open(f.t, image_id, true, 1, 1, &v, NULL), -EROFS);
    cr_expect_eq(authority_open(f.t, image_id, false, 0, 9, &v, NULL), 0);
    cr_expect_eq(authority_allow(f.t, image_id, 2, 1, NULL), -EROFS);
    cr_expect_eq(authority_flush(f.t, image_id, 1, 1, true, "", &v, NULL),
                 -EROFS);
    cr_expect_eq(authority_create(f.t, volume_id, SIZE - 4096, image_id, NULL),
                 -EINVAL, "smaller than its parent");
    cr_expect_eq(authority_create(f.t, volume_id, SIZE, image_id, NULL), 0);
    cr_expect_eq(authority_create(f.t, volume_id, SIZE, image_id, NULL),
                 -EEXIST);
    cr_expect_eq(authority_get(f.t, volume_id, &v, NULL), 0);
    cr_expect_str_eq(v.parent, image_id);
    end(&f);
}

struct counter {
    size_t n, bytes;
};
static int count(void *arg, struct store_slice key, struct store_slice value)
{
    struct counter *c = arg;
    (void)key;
    c->n++;
    c->bytes += value.size;
    return 0;
}

Test(authority, a_volume_that_is_deleted_leaves_nothing)
{
    struct fixture f = open_store();
    struct counter c = { 0 };
    struct volume v;
    cr_assert_eq(authority_create(f.t, volume_id, (uint64_t)1 << 40, "", NULL),
                 0);
    cr_assert_eq(authority_allow(f.t, volume_id, 1, 1, NULL), 0);
    for (uint64_t i = 0; i < 700; i++)
        cr_assert_eq(flush(&f, 1, 1, i * AUTHORITY_CHUNK, 1, 1), 0);
    store_each(f.t, "views", (struct store_slice){ "", 0 }, count, &c);
    cr_expect_eq(c.n, (size_t)700, "a chunk for each flush");
    cr_expect_lt(c.bytes, (size_t)700 * 40, "and little in each");
    cr_assert_eq(authority_delete(f.t, volume_id, NULL), 0);
    c.n = 0;
    store_each(f.t, "views", (struct store_slice){ "", 0 }, count, &c);
    cr_expect_eq(c.n, (size_t)0);
    cr_expect_eq(authority_get(f.t, volume_id, &v, NULL), -ENOENT);
    cr_expect_eq(authority_delete(f.t, volume_id, NULL), 0);
    end(&f);
}

static uint64_t draw(uint64_t *state, uint64_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % below;
}

/* Reads everything since 'have_seq', through as many parts as it takes. */
static uint64_t read_all(struct fixture *f, uint64_t have_seq,
                         struct view_delta *into)
{
    struct volume v;
    uint64_t next = 0;
    cr_assert_eq(authority_get(f->t, volume_id, &v, NULL), 0);
    while (next != UINT64_MAX) {
        SC_AUTO(view_delta_free) struct view_delta *part = NULL;
        cr_assert_eq(
            authority_read(f->t, &v, have_seq, next, &part, &next, NULL), 0);
        cr_assert_eq(view_delta_merge(into, part), 0);
    }
    return v.seq;
}

static bool same_run(const struct view_run *a, const struct view_run *b)
{
    return a->first == b->first && a->count == b->count &&
           a->version == b->version && a->holder == b->holder;
}

/* Readers that open now and then always end up with the writer's own view. */
Test(authority, deltas_keep_every_reader_up_to_date)
{
    uint64_t random = 99991;
    struct fixture f = open_store();
    SC_AUTO(view_delta_free) struct view_delta *truth = view_delta_new();
    struct view_delta *readers[3];
    uint64_t have[3] = { 0 };
    uint32_t epoch = 1, n = 0;
    for (int i = 0; i < 3; i++)
        readers[i] = view_delta_new();
    cr_assert_eq(authority_create(f.t, volume_id, SIZE, "", NULL), 0);
    cr_assert_eq(authority_allow(f.t, volume_id, 1, 1, NULL), 0);
    for (int i = 0; i < 1500; i++) {
        struct view_run run = { draw(&random, BLOCKS - 1500), 0,
                                view_version(epoch, ++n),
                                (uint16_t)(1 + epoch % 2) };
        run.count = 1 + draw(&random, draw(&random, 5) ? 4 : 1500);
        uint16_t nid = run.holder = (uint16_t)(1 + (epoch + 1) % 2);
        SC_AUTO(free)
        char *text = delta(run.first, run.count, run.version, run.holder);
        struct volume v;
        cr_assert_eq(authority_flush(f.t, volume_id, epoch, nid,
                                     draw(&random, 9) == 0, text, &v, &f.err),
                     0, "%s", f.err.text);
        cr_assert_eq(view_delta_put(truth, &run), 0);
        if (draw(&random, 50) == 0) { /* It moves. */
            uint16_t to = (uint16_t)(1 + (epoch + 2) % 2);
            cr_assert_eq(
                authority_allow_next(f.t, volume_id, epoch + 1, to, NULL), 0);
            cr_assert_eq(handover(&f, ++epoch, to), 0);
            n = 0;
        }
        size_t who = draw(&random, 3);
        if (draw(&random, 10) == 0)
            have[who] = read_all(&f, have[who], readers[who]);
    }
    for (int i = 0; i < 3; i++) {
        read_all(&f, have[i], readers[i]);
        cr_assert_eq(readers[i]->n_runs, truth->n_runs);
        for (size_t k = 0; k < truth->n_runs; k++)
            cr_assert(same_run(&readers[i]->runs[k], &truth->runs[k]));
        view_delta_free(readers[i]);
    }
    end(&f);
}

Test(authority, a_view_too_long_for_one_message_comes_in_parts)
{
    struct fixture f = open_store();
    struct volume v;
    const uint64_t n_chunks = 700;
    cr_assert_eq(authority_create(f.t, volume_id,
                                  n_chunks * AUTHORITY_CHUNK * VIEW_BLOCK_SIZE,
                                  "", NULL),
                 0);
    cr_assert_eq(authority_allow(f.t, volume_id, 1, 1, NULL), 0);
    for (uint64_t c = 0; c < n_chunks; c++) {
        SC_AUTO(view_delta_free) struct view_delta *d = view_delta_new();
        for (uint64_t b = 0; b < AUTHORITY_CHUNK; b++) {
            struct view_run run = {
                c * AUTHORITY_CHUNK + b, 1,
                view_version(1, (uint32_t)(b * 77777 % 999983) + 1), 1
            };
            cr_assert_eq(view_delta_put(d, &run), 0);
        }
        SC_AUTO(free) char *text = view_delta_encode_text(d);
        cr_assert_eq(
            authority_flush(f.t, volume_id, 1, 1, false, text, &v, NULL), 0);
    }
    uint64_t next = 0, blocks = 0;
    int parts = 0;
    for (; next != UINT64_MAX; parts++) {
        SC_AUTO(view_delta_free) struct view_delta *part = NULL;
        SC_AUTO(free) void *data = NULL;
        size_t size;
        cr_assert_eq(authority_read(f.t, &v, 0, next, &part, &next, NULL), 0);
        cr_assert_eq(view_delta_encode(part, 0, 0, &data, &size, NULL), 0);
        cr_expect_leq(size, (size_t)VIEW_MESSAGE_MAX);
        blocks += view_delta_blocks(part);
    }
    cr_expect_gt(parts, 1);
    cr_expect_eq(blocks, n_chunks * AUTHORITY_CHUNK);
    end(&f);
}

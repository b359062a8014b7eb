/* Tests of daemons/storage/volume.c and volume_io.c: requests of any size and
 * alignment through layers, against bytes in memory, on a fake disk. */
#include "storage/volume.h"

#include "storage/io_fake.h"

#include <criterion/criterion.h>

#define BASE_ID "00000000-0000-4000-8000-000000000001"
#define VOLUME_ID "00000000-0000-4000-8000-000000000002"
enum { BASE_SIZE = 40 * 4096 + 1234, SIZE = 60 * 4096, FLYING = 6 };

struct world {
    struct io *io;
    struct bufpool *pool;
    struct vol_env env;
    struct volume *base, *v;
    uint8_t bytes[SIZE]; /* What the volume must have. */
    uint64_t random;
};

static uint64_t draw(struct world *w, uint64_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % below;
}

static void on_born(struct bs_wait *wait, int res)
{
    (void)wait;
    cr_assert_eq(res, 0);
}

static struct volume *make(struct world *w, const char *id, uint64_t size,
                           struct volume *parent)
{
    struct volume *v;
    struct bs_wait born = { .done = on_born };
    cr_assert_eq(volume_new(&w->env, id, &v), 0);
    struct bstore_info info = { .size = size, .has_parent = parent != NULL };
    memcpy(info.id, v->raw_id, sizeof info.id);
    if (parent) {
        memcpy(info.parent, parent->raw_id, sizeof info.parent);
        v->parent = parent;
        parent->children++;
    }
    cr_assert_eq(bstore_create(w->io, id, id, &info, "", &born, &v->bs, NULL),
                 0);
    io_fake_run(w->io);
    v->rw = true;
    v->epoch = 1;
    bstore_set_writer(v->bs, 1, 7);
    volume_set_state(v, VOL_IDLE);
    volume_set_state(v, VOL_OPEN);
    return v;
}

struct request {
    struct vol_req vr; /* Must be first. */
    int res;
    bool done;
};

static void on_done(struct vol_req *vr, int res)
{
    ((struct request *)vr)->res = res;
    ((struct request *)vr)->done = true;
}

static void begin(struct world *w, struct request *q, struct volume *v,
                  enum vol_cmd cmd, uint64_t offset, uint32_t length)
{
    uint8_t *buf = q->vr.buf;
    if (!buf)
        buf = bufpool_get(w->pool, SIZE + 8192);
    *q = (struct request){ .vr = { .done = on_done,
                                   .cmd = cmd,
                                   .offset = offset,
                                   .length = length,
                                   .buf = buf } };
    (void)v;
}

static int run(struct world *w, struct volume *v, enum vol_cmd cmd,
               uint64_t offset, uint32_t length, int fill, uint8_t *ret)
{
    struct request q = { .vr.buf = NULL };
    begin(w, &q, v, cmd, offset, length);
    if (cmd == VOL_WRITE)
        memset(q.vr.buf + offset % 4096, fill, length);
    volume_submit(v, &q.vr);
    io_fake_run(w->io);
    cr_assert(q.done);
    if (ret && q.res == 0)
        memcpy(ret, q.vr.buf + offset % 4096, length);
    bufpool_put(w->pool, q.vr.buf, SIZE + 8192);
    return q.res;
}

static void world_init(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->random = seed * 104729 + 7;
    w->io = io_fake_new(seed);
    w->pool = bufpool_new();
    w->env = (struct vol_env){ .io = w->io, .pool = w->pool, .self = 7 };
    w->base = make(w, BASE_ID, BASE_SIZE, NULL);
    cr_assert_eq(run(w, w->base, VOL_WRITE, 0, BASE_SIZE, 0xbb, NULL), 0);
    memset(w->bytes, 0xbb, BASE_SIZE);
    w->v = make(w, VOLUME_ID, SIZE, w->base);
}

static void world_free(struct world *w)
{
    io_fake_run(w->io);
    volume_free(w->v);
    volume_free(w->base);
    bufpool_free(w->pool);
    io_free(w->io);
}

static void check_all(struct world *w)
{
    static uint8_t got[SIZE];
    cr_assert_eq(run(w, w->v, VOL_READ, 0, SIZE, 0, got), 0);
    for (size_t i = 0; i < SIZE; i++)
        cr_assert_eq(got[i], w->bytes[i], "byte %zu: %02x, not %02x", i, got[i],
                     w->bytes[i]);
}

Test(volume, requests_of_any_size_and_place_are_right)
{
    struct world w;
    world_init(&w, 1);
    check_all(&w);
    for (int i = 0; i < 400; i++) {
        uint32_t length = 1 + (uint32_t)draw(&w, draw(&w, 2) ? 40000 : 600);
        uint64_t offset = draw(&w, SIZE - length);
        int fill = 1 + (int)draw(&w, 200);
        switch (draw(&w, 4)) {
        case 0:
            cr_assert_eq(run(&w, w.v, VOL_ZERO, offset, length, 0, NULL), 0);
            memset(w.bytes + offset, 0, length);
            break;
        case 1:
            cr_assert_eq(run(&w, w.v, VOL_FLUSH, 0, 0, 0, NULL), 0);
            break;
        default:
            cr_assert_eq(run(&w, w.v, VOL_WRITE, offset, length, fill, NULL),
                         0);
            memset(w.bytes + offset, fill, length);
        }
        if (i % 20 == 0)
            check_all(&w);
    }
    check_all(&w);
    world_free(&w);
}

Test(volume, writes_at_once_to_parts_of_one_block_all_land)
{
    for (uint64_t seed = 1; seed < 60; seed++) {
        struct world w;
        struct request q[FLYING] = { 0 };
        world_init(&w, seed);
        for (int i = 0; i < FLYING; i++) {
            begin(&w, &q[i], w.v, VOL_WRITE, 8192 + (uint64_t)i * 512, 512);
            memset(q[i].vr.buf + i * 512, 10 + i, 512);
            memset(w.bytes + 8192 + i * 512, 10 + i, 512);
        }
        for (int i = 0; i < FLYING; i++) {
            volume_submit(w.v, &q[i].vr);
            for (uint64_t n = draw(&w, 3); n > 0; n--)
                io_fake_run_one(w.io);
        }
        io_fake_run(w.io);
        for (int i = 0; i < FLYING; i++) {
            cr_assert(q[i].done && q[i].res == 0);
            bufpool_put(w.pool, q[i].vr.buf, SIZE + 8192);
        }
        check_all(&w);
        world_free(&w);
    }
}

Test(volume, a_trim_of_parts_of_blocks_leaves_the_parts)
{
    struct world w;
    world_init(&w, 2);
    cr_assert_eq(run(&w, w.v, VOL_TRIM, 4000, 9000, 0, NULL), 0);
    memset(w.bytes + 4096, 0, 8192);
    check_all(&w);
    world_free(&w);
}

static const struct {
    const char *name;
    enum vol_state state;
    bool rw;
    int read, write;
} access_cases[] = {
    { "open for writing", VOL_OPEN, true, 0, 0 },
    { "open for reading", VOL_OPEN, false, 0, -EPERM },
    { "incoming", VOL_INCOMING, true, 0, -EPERM },
    { "handed over", VOL_HANDED, true, 0, -EPERM },
    { "idle", VOL_IDLE, true, -ESHUTDOWN, -ESHUTDOWN },
    { "importing", VOL_IMPORTING, true, -ESHUTDOWN, -ESHUTDOWN },
};

Test(volume, each_state_allows_what_it_should)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(access_cases); i++) {
        struct world w;
        world_init(&w, 3);
        w.v->state = access_cases[i].state;
        w.v->rw = access_cases[i].rw;
        cr_expect_eq(run(&w, w.v, VOL_READ, 0, 4096, 0, NULL),
                     access_cases[i].read, "%s", access_cases[i].name);
        cr_expect_eq(run(&w, w.v, VOL_WRITE, 0, 4096, 1, NULL),
                     access_cases[i].write, "%s", access_cases[i].name);
        world_free(&w);
    }
}

Test(volume, a_frozen_volume_holds_writes_until_it_is_thawed)
{
    struct world w;
    struct request q = { .vr.buf = NULL };
    world_init(&w, 4);
    volume_set_state(w.v, VOL_FROZEN);
    begin(&w, &q, w.v, VOL_WRITE, 0, 4096);
    memset(q.vr.buf, 9, 4096);
    volume_submit(w.v, &q.vr);
    io_fake_run(w.io);
    cr_expect_not(q.done);
    check_all(&w); /* Reads go on. */
    volume_set_state(w.v, VOL_OPEN);
    volume_thaw_held(w.v, 0);
    io_fake_run(w.io);
    cr_expect(q.done && q.res == 0);
    memset(w.bytes, 9, 4096);
    check_all(&w);
    bufpool_put(w.pool, q.vr.buf, SIZE + 8192);
    world_free(&w);
}

Test(volume, a_block_that_is_only_elsewhere_is_an_error_without_peers)
{
    struct world w;
    world_init(&w, 5);
    cr_assert_eq(bstore_learn(w.v->bs, 3, 99, 2, false), 0);
    cr_expect_eq(run(&w, w.v, VOL_READ, 3 * 4096, 10, 0, NULL), -EIO);
    cr_expect_eq(run(&w, w.v, VOL_READ, 4 * 4096, 10, 0, NULL), 0);
    world_free(&w);
}

Test(volume, an_error_of_the_disk_is_told_and_the_next_try_succeeds)
{
    struct world w;
    world_init(&w, 6);
    io_fake_fail(w.io, IO_FAKE_WRITE, 1, -EIO);
    cr_expect_eq(run(&w, w.v, VOL_WRITE, 0, 4096, 1, NULL), -EIO);
    check_all(&w);
    cr_expect_eq(run(&w, w.v, VOL_WRITE, 0, 4096, 1, NULL), 0);
    memset(w.bytes, 1, 4096);
    io_fake_fail(w.io, IO_FAKE_READ, 1, -EIO);
    cr_expect_eq(run(&w, w.v, VOL_READ, 0, 4096, 0, NULL), -EIO);
    check_all(&w);
    world_free(&w);
}

Test(volume, its_state_comes_back_from_its_text)
{
    struct world w;
    world_init(&w, 7);
    strcpy(w.v->migration, "m-1");
    w.v->peer = 3;
    w.v->view_seq = 77;
    volume_set_state(w.v, VOL_FROZEN);
    struct volume copy = *w.v;
    w.v->state = VOL_IDLE;
    w.v->epoch = 0;
    w.v->view_seq = 0;
    w.v->peer = 0;
    w.v->migration[0] = 0;
    cr_assert_eq(volume_load_state(w.v), 0);
    cr_expect_eq(w.v->state, VOL_FROZEN);
    cr_expect_eq(w.v->epoch, copy.epoch);
    cr_expect_eq(w.v->view_seq, 77);
    cr_expect_eq(w.v->peer, 3);
    cr_expect_str_eq(w.v->migration, "m-1");
    bstore_set_state(w.v->bs, "{\"state\":\"on fire\"}");
    cr_expect_eq(volume_load_state(w.v), -EUCLEAN);
    world_free(&w);
}

Test(volume, ids_are_parsed_and_formatted)
{
    uint8_t raw[BSTORE_ID];
    char text[VOL_ID_LEN + 1];
    cr_assert_eq(volume_id_parse("01234567-89ab-4def-8123-456789abcdef", raw),
                 0);
    cr_expect_eq(raw[0], 0x01);
    cr_expect_eq(raw[15], 0xef);
    volume_id_format(raw, text);
    cr_expect_str_eq(text, "01234567-89ab-4def-8123-456789abcdef");
    cr_expect_eq(volume_id_parse("../../etc/passwd", raw), -EINVAL);
}

Test(volume, only_the_listed_moves_between_states_are_allowed)
{
    cr_expect(vol_state_may(VOL_OPEN, VOL_FROZEN));
    cr_expect(vol_state_may(VOL_HANDED, VOL_OPEN));
    cr_expect_not(vol_state_may(VOL_INCOMING, VOL_OPEN));
    cr_expect_not(vol_state_may(VOL_FROZEN, VOL_INCOMING));
    cr_expect_not(vol_state_may(VOL_IDLE, VOL_HANDED));
}

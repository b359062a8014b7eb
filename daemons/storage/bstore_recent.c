/* bstore_recent - what was done since the last commit, for kill -9.
 *
 * A guest lives on when this daemon is killed, and takes every write that was
 * answered for done; it will never send it again.  So a change of the map is
 * also put, before the answer, into shared memory that outlives the process (a
 * small file in <run_dir>; a copy of 24 bytes, no system call).  A power loss
 * takes the guest as well: then only what was committed counts, and the boot
 * id in the header tells.
 *
 * Two areas: one for the group that is being made durable, one for what comes
 * after it.  Each names the journal group that will contain it: recovery
 * applies an area if the journal does not have that group.  A record counts
 * only once 'n' covers it.  When an area is full, or there is none, changes
 * are answered after a commit (bstore_must_commit). */
#include "storage/bstore_impl.h"

#include "storage/bytes.h"

#include <assert.h>

#define RECENT_MAGIC UINT64_C(0x31544e4543455253) /* "SRECENT1" */
enum { AREA_RECORDS = 1 << 16, HEADER = 4096 };

struct area_header {
    uint64_t seq;   /* The group that will have these records. */
    uint64_t order; /* Counts up: which area is older. */
    uint64_t n;
};
struct recent_header {
    uint64_t magic;
    uint8_t id[LAYOUT_ID], boot[IO_BOOT_ID];
    struct area_header areas[2];
};
_Static_assert(sizeof(struct recent_header) <= HEADER, "fits in its page");

enum { RECENT_SIZE = HEADER + 2 * AREA_RECORDS * LAYOUT_RECORD };

static struct recent_header *header(struct bstore *bs)
{
    return bs->recent;
}

static uint8_t *record(struct bstore *bs, unsigned which, uint64_t i)
{
    return (uint8_t *)bs->recent + HEADER +
           ((size_t)which * AREA_RECORDS + i) * LAYOUT_RECORD;
}

/* The compiler keeps the order; the kernel sees our stores as we did them. */
static void publish(uint64_t *to, uint64_t value)
{
    __atomic_store_n(to, value, __ATOMIC_RELEASE);
}

static void area_begin(struct bstore *bs, unsigned which)
{
    struct area_header *a = &header(bs)->areas[which];
    publish(&a->n, 0);
    publish(&a->seq, bs->seq + 1);
    publish(&a->order, ++bs->recent_order);
    bs->recent_which = which;
    bs->recent_full = false;
}

void bstore_recent_map(struct bstore *bs, const char *path)
{
    uint8_t boot[IO_BOOT_ID];
    if (!path || bs->io->class->boot_id(bs->io, boot) < 0 ||
        bs->io->class->map(bs->io, path, RECENT_SIZE, &bs->recent) < 0) {
        bs->recent = NULL;
        bs->recent_full = true;
        return;
    }
    struct recent_header *h = header(bs);
    bool ours = h->magic == RECENT_MAGIC &&
                memcmp(h->id, bs->info.id, LAYOUT_ID) == 0 &&
                memcmp(h->boot, boot, IO_BOOT_ID) == 0;
    if (ours)
        return;
    publish(&h->magic, 0);
    h->areas[0] = h->areas[1] = (struct area_header){ 0 };
    memcpy(h->id, bs->info.id, LAYOUT_ID);
    memcpy(h->boot, boot, IO_BOOT_ID);
    publish(&h->magic, RECENT_MAGIC);
}

void bstore_recent_unmap(struct bstore *bs)
{
    if (bs->recent)
        bs->io->class->unmap(bs->io, bs->recent, RECENT_SIZE);
    bs->recent = NULL;
}

void bstore_recent_begin(struct bstore *bs)
{
    if (bs->recent)
        area_begin(bs, 0);
}

void bstore_recent_note(struct bstore *bs, uint32_t block,
                        const struct block *b)
{
    struct area_header *a =
        bs->recent_full ? NULL : &header(bs)->areas[bs->recent_which];
    if (!a || a->n == AREA_RECORDS) {
        bs->recent_full = true;
        bs->unrecorded_seq = bs->seq + 1;
        return;
    }
    layout_record_put(record(bs, bs->recent_which, a->n), block, b);
    publish(&a->n, a->n + 1);
}

void bstore_recent_cut(struct bstore *bs)
{
    if (bs->recent && !bs->recent_kept)
        area_begin(bs, bs->recent_which ^ 1);
}

/* The first commit after a recovery has succeeded: the areas are free again.
 * (What was changed since it was cut is in none: unrecorded_seq says so.) */
void bstore_recent_committed(struct bstore *bs)
{
    if (!bs->recent_kept)
        return;
    bs->recent_kept = false;
    publish(&header(bs)->areas[bs->recent_which].n, 0);
    area_begin(bs, bs->recent_which ^ 1);
}

bool bstore_must_commit(const struct bstore *bs)
{
    return bs->unrecorded_seq > bs->durable_seq;
}

/* One change as bstore_install would make it; the slots are ours to take. */
static int apply(struct bstore *bs, const uint8_t *p)
{
    uint32_t block;
    struct block b;
    if (layout_record_get(p, &block, &b) < 0 || block >= bs->n_blocks)
        return -EUCLEAN;
    if (bstore_reserve(bs, block, 1) < 0)
        return -ENOMEM;
    if (b.slot < SLOT_MAX && b.slot != block_map_get(bs->map, block)->slot &&
        !slots_take_at(bs->slots, b.slot))
        return -EUCLEAN;
    bstore_install(bs, block, b);
    if (b.version > bs->version && (b.flags & BLOCK_DIRTY))
        bs->version = b.version;
    return 0;
}

int bstore_recent_replay(struct bstore *bs, struct sc_err *err)
{
    if (!bs->recent)
        return 0;
    struct recent_header *h = header(bs);
    unsigned first = h->areas[0].order > h->areas[1].order;
    bs->recent_full = true; /* Nothing is noted while it is read. */
    uint64_t n = 0;
    for (unsigned k = 0; k < 2; k++) {
        unsigned which = first ^ k;
        struct area_header *a = &h->areas[which];
        if (a->order > bs->recent_order)
            bs->recent_order = a->order;
        bs->recent_which = which;
        if (a->seq <= bs->seq || a->n == 0 || a->n > AREA_RECORDS)
            continue;
        publish(&a->seq, bs->seq + 1); /* Both go into the next group. */
        for (uint64_t i = 0; i < a->n; i++, n++) {
            int r = apply(bs, record(bs, which, i));
            if (r < 0)
                return sc_fail(err, r, "record %llu of what was recent: %s",
                               (unsigned long long)i, strerror(-r));
        }
    }
    if (n) { /* Kept until the first commit has all of it. */
        bs->recent_kept = true;
        bs->want = true;
    } else {
        area_begin(bs, 0);
    }
    return 0;
}

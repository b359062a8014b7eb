/* The runs are one sorted array.  put at the end appends; everything else
 * builds a new array by one sweep over both inputs, so a failure leaves the
 * old one as it was.  Not a tree: deltas are read and encoded in order far
 * more often than they are changed in the middle. */
#include "model/view_delta.h"

#include "common/json.h"

#include <stdbool.h>
#include <stdlib.h>

struct view_delta *view_delta_new(void)
{
    return calloc(1, sizeof(struct view_delta));
}

void view_delta_free(struct view_delta *d)
{
    if (!d)
        return;
    free(d->runs);
    free(d);
}

void view_delta_clear(struct view_delta *d)
{
    d->n_runs = 0;
}

static uint64_t run_end(const struct view_run *r)
{
    return r->first + r->count;
}

/* Appends 'run', which begins at or after the end of 'd'. */
static int append(struct view_delta *d, const struct view_run *run)
{
    struct view_run *last = d->n_runs ? &d->runs[d->n_runs - 1] : NULL;
    if (last && run_end(last) == run->first && last->version == run->version &&
        last->holder == run->holder) {
        last->count += run->count;
        return 0;
    }
    if (d->n_runs == d->capacity) {
        size_t capacity = d->capacity ? 2 * d->capacity : 16;
        struct view_run *runs = realloc(d->runs, capacity * sizeof *runs);
        if (!runs)
            return -ENOMEM;
        d->runs = runs;
        d->capacity = capacity;
    }
    d->runs[d->n_runs++] = *run;
    return 0;
}

/* Sweeps over the blocks of both: where both have one, the newer wins, and of
 * equals 'b'.  'ret' is empty. */
static int sweep(const struct view_delta *a, const struct view_run *b_runs,
                 size_t n_b, struct view_delta *ret)
{
    size_t ia = 0, ib = 0;
    struct view_run ra = { 0 }, rb = { 0 }; /* count 0: take the next. */
    int r = 0;
    while (r == 0) {
        if (!ra.count && ia < a->n_runs)
            ra = a->runs[ia++];
        if (!rb.count && ib < n_b)
            rb = b_runs[ib++];
        if (!ra.count && !rb.count)
            return 0;
        struct view_run *first = !rb.count              ? &ra
                                 : !ra.count            ? &rb
                                 : ra.first <= rb.first ? &ra
                                                        : &rb;
        struct view_run *other = first == &ra ? &rb : &ra;
        struct view_run out = *first;
        if (!other->count || run_end(first) <= other->first) {
            first->count = 0;
        } else if (first->first < other->first) {
            out.count = other->first - first->first;
            first->first += out.count;
            first->count -= out.count;
        } else { /* Both begin here. */
            out = rb.version >= ra.version ? rb : ra;
            out.count = ra.count < rb.count ? ra.count : rb.count;
            ra.first += out.count;
            rb.first += out.count;
            ra.count -= out.count;
            rb.count -= out.count;
        }
        r = append(ret, &out);
    }
    return r;
}

static int merge_runs(struct view_delta *d, const struct view_run *runs,
                      size_t n_runs)
{
    struct view_delta merged = { 0 };
    int r = sweep(d, runs, n_runs, &merged);
    if (r < 0) {
        free(merged.runs);
        return r;
    }
    free(d->runs);
    *d = merged;
    return 0;
}

static bool run_ok(const struct view_run *run)
{
    return run->count > 0 && run->count <= VIEW_BLOCKS_MAX &&
           run->first <= VIEW_BLOCKS_MAX - run->count && run->version &&
           run->holder;
}

int view_delta_put(struct view_delta *d, const struct view_run *run)
{
    if (!run_ok(run))
        return -EINVAL;
    if (!d->n_runs || run_end(&d->runs[d->n_runs - 1]) <= run->first)
        return append(d, run);
    return merge_runs(d, run, 1);
}

int view_delta_merge(struct view_delta *d, const struct view_delta *from)
{
    return from->n_runs ? merge_runs(d, from->runs, from->n_runs) : 0;
}

/* Index of the first run that ends after 'block'; n_runs if none does. */
static size_t find(const struct view_delta *d, uint64_t block)
{
    size_t low = 0, high = d->n_runs;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (run_end(&d->runs[middle]) <= block)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct view_run *view_delta_get(const struct view_delta *d,
                                      uint64_t block)
{
    size_t i = find(d, block);
    return i < d->n_runs && d->runs[i].first <= block ? &d->runs[i] : NULL;
}

int view_delta_slice(const struct view_delta *d, uint64_t first, uint64_t end,
                     struct view_delta *ret)
{
    for (size_t i = find(d, first); i < d->n_runs && d->runs[i].first < end;
         i++) {
        struct view_run out = d->runs[i];
        uint64_t out_end = run_end(&out) < end ? run_end(&out) : end;
        if (out.first < first)
            out.first = first;
        out.count = out_end - out.first;
        int r = append(ret, &out);
        if (r < 0)
            return r;
    }
    return 0;
}

uint64_t view_delta_blocks(const struct view_delta *d)
{
    uint64_t n = 0;
    for (size_t i = 0; i < d->n_runs; i++)
        n += d->runs[i].count;
    return n;
}

/* --- binary form ------------------------------------------------------- */

enum { NUMBER_MAX = 10, RUN_MAX = 4 * NUMBER_MAX, HEAD_MAX = 3 + NUMBER_MAX };

static size_t put_number(uint8_t *out, uint64_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

static uint64_t zigzag(uint64_t from, uint64_t to)
{
    uint64_t d = to - from;
    return d << 1 ^ (d >> 63 ? UINT64_MAX : 0);
}

static uint64_t unzigzag(uint64_t from, uint64_t z)
{
    return from + (z >> 1 ^ (z & 1 ? UINT64_MAX : 0));
}

int view_delta_encode(const struct view_delta *d, size_t from_run,
                      size_t max_size, void **ret, size_t *ret_size,
                      size_t *ret_next_run)
{
    if (from_run > d->n_runs)
        from_run = d->n_runs;
    size_t n = d->n_runs - from_run, size = 0;
    size_t room = HEAD_MAX + n * RUN_MAX;
    if (max_size && room > max_size + HEAD_MAX + RUN_MAX)
        room = max_size + HEAD_MAX + RUN_MAX;
    SC_AUTO(free) uint8_t *body = malloc(room);
    if (!body)
        return -ENOMEM;
    struct view_run before = { 0 };
    size_t i = from_run;
    for (; i < d->n_runs; i++) {
        const struct view_run *run = &d->runs[i];
        uint8_t *p = body + size;
        p += put_number(p, run->first - run_end(&before));
        p += put_number(p, run->count);
        p += put_number(p, zigzag(before.version, run->version));
        p += put_number(p, run->holder);
        if (max_size && (size_t)(p - body) + HEAD_MAX > max_size)
            break;
        size = (size_t)(p - body);
        before = *run;
    }
    if (n && i == from_run)
        return -EMSGSIZE;
    uint8_t head[HEAD_MAX] = { 'V', 'D', 1 };
    size_t head_size = 3 + put_number(head + 3, i - from_run);
    uint8_t *out = malloc(head_size + size);
    if (!out)
        return -ENOMEM;
    memcpy(out, head, head_size);
    if (size)
        memcpy(out + head_size, body, size);
    *ret = out;
    *ret_size = head_size + size;
    if (ret_next_run)
        *ret_next_run = i;
    return 0;
}

struct reader {
    const uint8_t *begin, *p, *end;
    const char *bad; /* The first field that was wrong, or NULL. */
};

static uint64_t get_number(struct reader *r, const char *field)
{
    uint64_t v = 0;
    for (unsigned shift = 0; !r->bad; shift += 7) {
        if (r->p == r->end || shift > 63) {
            r->bad = field;
            return 0;
        }
        uint8_t byte = *r->p++;
        if ((shift == 63 && byte > 1) || (shift && byte == 0)) {
            r->bad = field; /* Over 64 bits, or not the shortest form. */
            return 0;
        }
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
    }
    return 0;
}

static int bad_delta(const struct reader *r, struct sc_err *err)
{
    return sc_fail(err, -EBADMSG, "view delta: bad %s at byte %zu of %zu",
                   r->bad, (size_t)(r->p - r->begin),
                   (size_t)(r->end - r->begin));
}

static int decode_runs(struct reader *r, uint64_t n_runs, uint64_t n_blocks,
                       struct view_delta *d)
{
    struct view_run before = { 0 };
    for (uint64_t i = 0; i < n_runs; i++) {
        struct view_run run;
        uint64_t gap = get_number(r, "gap");
        run.count = get_number(r, "count");
        run.version = unzigzag(before.version, get_number(r, "version"));
        uint64_t holder = get_number(r, "holder");
        uint64_t left = n_blocks - run_end(&before);
        if (r->bad)
            return -EBADMSG;
        if (gap > left || run.count == 0 || run.count > left - gap)
            r->bad = "block range";
        else if (run.version == 0)
            r->bad = "version";
        else if (holder == 0 || holder > UINT16_MAX)
            r->bad = "holder";
        else if (i && gap == 0 && run.version == before.version &&
                 holder == before.holder)
            r->bad = "run (it continues the one before)";
        if (r->bad)
            return -EBADMSG;
        run.first = run_end(&before) + gap;
        run.holder = (uint16_t)holder;
        int s = append(d, &run);
        if (s < 0)
            return s;
        before = run;
    }
    return 0;
}

int view_delta_decode(const void *data, size_t size, uint64_t n_blocks,
                      struct view_delta **ret, struct sc_err *err)
{
    struct reader r = { data, data, (const uint8_t *)data + size, NULL };
    SC_AUTO(view_delta_free) struct view_delta *d = view_delta_new();
    if (!d)
        return sc_fail(err, -ENOMEM, "view delta: out of memory");
    if (n_blocks > VIEW_BLOCKS_MAX)
        n_blocks = VIEW_BLOCKS_MAX;
    if (size > 0) {
        uint64_t n_runs = 0;
        if (size < 3 || memcmp(data, "VD\1", 3) != 0)
            r.bad = "head";
        else
            r.p += 3;
        n_runs = get_number(&r, "number of runs");
        /* A run takes at least 4 bytes: refuse before allocating for it. */
        if (!r.bad &&
            (n_runs > VIEW_RUNS_MAX || n_runs > (uint64_t)(r.end - r.p) / 4))
            r.bad = "number of runs";
        int s = r.bad ? -EBADMSG : decode_runs(&r, n_runs, n_blocks, d);
        if (s == 0 && r.p != r.end)
            r.bad = "end";
        if (r.bad)
            return bad_delta(&r, err);
        if (s < 0)
            return sc_fail(err, s, "view delta: %s", strerror(-s));
    }
    *ret = SC_TAKE(d);
    return 0;
}

char *view_delta_encode_text(const struct view_delta *d)
{
    SC_AUTO(free) void *data = NULL;
    size_t size;
    if (view_delta_encode(d, 0, 0, &data, &size, NULL) < 0)
        return NULL;
    return json_b64_encode(data, size);
}

int view_delta_decode_text(const char *text, uint64_t n_blocks,
                           struct view_delta **ret, struct sc_err *err)
{
    SC_AUTO(free) void *data = NULL;
    size_t size;
    int r = json_b64_decode(text, &data, &size);
    if (r == -ENOMEM)
        return sc_fail(err, r, "view delta: out of memory");
    if (r < 0)
        return sc_fail(err, -EBADMSG, "view delta: not base64");
    return view_delta_decode(data, size, n_blocks, ret, err);
}

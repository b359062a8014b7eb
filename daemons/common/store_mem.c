/* store_mem - the store (store.h) in memory, for unit tests and simulations.
 *
 * Each table is an immutable sorted array of counted entries; a write
 * transaction copies the array (not the entries) at its first write, and
 * commit puts it in place.  So a read transaction keeps what it began with. */
#include "common/store_class.h"

struct entry {
    unsigned n_refs;
    size_t key_size, value_size;
    uint8_t data[]; /* Key, then value. */
};

struct table {
    unsigned n_refs;
    size_t len, size;
    struct entry **entries; /* Owned; ordered by key. */
};

struct mem_store {
    struct store up; /* Must be first. */
    struct table *tables[STORE_TABLES_MAX];
    bool writing; /* A write transaction is open. */
};

struct mem_txn {
    struct store_txn up; /* Must be first. */
    struct table *tables[STORE_TABLES_MAX];
    bool own[STORE_TABLES_MAX]; /* Ours to change. */
};

static void entry_unref(struct entry *e)
{
    if (--e->n_refs == 0)
        free(e);
}

static void table_unref(struct table *t)
{
    if (!t || --t->n_refs > 0)
        return;
    for (size_t i = 0; i < t->len; i++)
        entry_unref(t->entries[i]);
    free(t->entries);
    free(t);
}

static struct table *table_copy(const struct table *from)
{
    struct table *t = calloc(1, sizeof *t);
    size_t size = from ? from->len + 8 : 8;
    struct entry **entries = calloc(size, sizeof(struct entry *));
    if (!t || !entries) {
        free(t);
        free(entries);
        return NULL;
    }
    *t = (struct table){ .n_refs = 1, .size = size, .entries = entries };
    for (size_t i = 0; from && i < from->len; i++) {
        entries[i] = from->entries[i];
        entries[i]->n_refs++;
        t->len++;
    }
    return t;
}

static int compare(const struct entry *e, struct store_slice key)
{
    size_t size = e->key_size < key.size ? e->key_size : key.size;
    int r = size ? memcmp(e->data, key.data, size) : 0;
    return r ? r : (e->key_size > key.size) - (e->key_size < key.size);
}

/* Index of the first entry not before 'key'; '*found': it is 'key'. */
static size_t search(const struct table *t, struct store_slice key, bool *found)
{
    size_t low = 0, high = t ? t->len : 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(t->entries[mid], key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = t && low < t->len && compare(t->entries[low], key) == 0;
    return low;
}

static void mem_close(struct store *up)
{
    struct mem_store *s = (struct mem_store *)up;
    for (size_t i = 0; i < STORE_TABLES_MAX; i++)
        table_unref(s->tables[i]);
    store_fini(up);
    free(s);
}

static int mem_begin(struct store *up, bool write, struct store_txn **ret,
                     struct sc_err *err)
{
    struct mem_store *s = (struct mem_store *)up;
    if (write && s->writing)
        return sc_fail(err, -EDEADLK, "store: a write transaction is open");
    struct mem_txn *t = calloc(1, sizeof *t);
    if (!t)
        return sc_fail(err, -ENOMEM, "store: out of memory");
    t->up = (struct store_txn){ .store = up, .write = write };
    for (size_t i = 0; i < up->n_tables; i++) {
        t->tables[i] = s->tables[i];
        if (t->tables[i])
            t->tables[i]->n_refs++;
    }
    s->writing |= write;
    *ret = &t->up;
    return 0;
}

static void mem_abort(struct store_txn *up)
{
    struct mem_txn *t = (struct mem_txn *)up;
    if (up->write)
        ((struct mem_store *)up->store)->writing = false;
    for (size_t i = 0; i < STORE_TABLES_MAX; i++)
        table_unref(t->tables[i]);
    free(t);
}

static int mem_commit(struct store_txn *up, struct sc_err *err)
{
    (void)err;
    struct mem_txn *t = (struct mem_txn *)up;
    struct mem_store *s = (struct mem_store *)up->store;
    for (size_t i = 0; i < STORE_TABLES_MAX; i++) {
        if (t->own[i]) {
            table_unref(s->tables[i]);
            s->tables[i] = SC_TAKE(t->tables[i]);
        }
    }
    mem_abort(up);
    return 0;
}

static int mem_get(struct store_txn *up, size_t table, struct store_slice key,
                   struct store_slice *ret)
{
    struct mem_txn *t = (struct mem_txn *)up;
    bool found;
    size_t i = search(t->tables[table], key, &found);
    if (!found)
        return -ENOENT;
    const struct entry *e = t->tables[table]->entries[i];
    *ret = (struct store_slice){ e->data + e->key_size, e->value_size };
    return 0;
}

/* The transaction's own copy of the table, with room for one entry more. */
static struct table *writable(struct mem_txn *t, size_t table)
{
    if (!t->own[table]) {
        struct table *copy = table_copy(t->tables[table]);
        if (!copy)
            return NULL;
        table_unref(t->tables[table]);
        t->tables[table] = copy;
        t->own[table] = true;
    }
    struct table *w = t->tables[table];
    if (w->len == w->size) {
        struct entry **more =
            reallocarray(w->entries, w->size * 2, sizeof(struct entry *));
        if (!more)
            return NULL;
        w->entries = more;
        w->size *= 2;
    }
    return w;
}

static int mem_put(struct store_txn *up, size_t table, struct store_slice key,
                   struct store_slice value, struct sc_err *err)
{
    struct table *w = writable((struct mem_txn *)up, table);
    struct entry *e = malloc(sizeof *e + key.size + value.size);
    if (!w || !e) {
        free(e);
        return sc_fail(err, -ENOMEM, "store: out of memory");
    }
    e->n_refs = 1;
    e->key_size = key.size;
    e->value_size = value.size;
    memcpy(e->data, key.data, key.size);
    if (value.size)
        memcpy(e->data + key.size, value.data, value.size);
    bool found;
    size_t i = search(w, key, &found);
    if (found) {
        entry_unref(w->entries[i]);
    } else {
        memmove(&w->entries[i + 1], &w->entries[i],
                (w->len - i) * sizeof(struct entry *));
        w->len++;
    }
    w->entries[i] = e;
    return 0;
}

static int mem_del(struct store_txn *up, size_t table, struct store_slice key,
                   struct sc_err *err)
{
    struct table *w = writable((struct mem_txn *)up, table);
    if (!w)
        return sc_fail(err, -ENOMEM, "store: out of memory");
    bool found;
    size_t i = search(w, key, &found);
    if (found) {
        entry_unref(w->entries[i]);
        w->len--;
        memmove(&w->entries[i], &w->entries[i + 1],
                (w->len - i) * sizeof(struct entry *));
    }
    return 0;
}

static int mem_each(struct store_txn *up, size_t table,
                    struct store_slice prefix, store_each_fn *fn, void *arg)
{
    struct mem_txn *t = (struct mem_txn *)up;
    const struct table *w = t->tables[table];
    bool found;
    for (size_t i = search(w, prefix, &found); w && i < w->len; i++) {
        const struct entry *e = w->entries[i];
        if (e->key_size < prefix.size ||
            (prefix.size && memcmp(e->data, prefix.data, prefix.size) != 0))
            break;
        int r =
            fn(arg, (struct store_slice){ e->data, e->key_size },
               (struct store_slice){ e->data + e->key_size, e->value_size });
        if (r)
            return r;
    }
    return 0;
}

static const struct store_class mem_class = {
    .name = "mem",
    .close = mem_close,
    .begin = mem_begin,
    .commit = mem_commit,
    .abort = mem_abort,
    .get = mem_get,
    .put = mem_put,
    .del = mem_del,
    .each = mem_each,
};

int store_mem_open(const char *const tables[], struct store **ret,
                   struct sc_err *err)
{
    struct mem_store *made = calloc(1, sizeof *made);
    if (!made)
        return sc_fail(err, -ENOMEM, "store: out of memory");
    SC_AUTO(store_close) struct store *s = &made->up;
    int r = store_init(s, &mem_class, tables, err);
    if (r < 0)
        return r;
    *ret = SC_TAKE(s);
    return 0;
}

/* store - see store.h: argument checks, then the driver. */
#include "common/store.h"
#include "common/store_class.h"

int store_init(struct store *up, const struct store_class *class,
               const char *const tables[], struct sc_err *err)
{
    up->class = class;
    for (size_t i = 0; tables[i]; i++) {
        if (i == STORE_TABLES_MAX)
            return sc_fail(err, -EINVAL, "store: more than %d tables",
                           STORE_TABLES_MAX);
        up->tables[i] = strdup(tables[i]);
        if (!up->tables[i])
            return sc_fail(err, -ENOMEM, "store: out of memory");
        up->n_tables = i + 1;
    }
    return 0;
}

void store_fini(struct store *up)
{
    for (size_t i = 0; i < up->n_tables; i++)
        free(up->tables[i]);
}

void store_close(struct store *s)
{
    if (s)
        s->class->close(s);
}

int store_begin(struct store *s, bool write, struct store_txn **ret,
                struct sc_err *err)
{
    return s->class->begin(s, write, ret, err);
}

int store_commit(struct store_txn *t, struct sc_err *err)
{
    return t->store->class->commit(t, err);
}

void store_abort(struct store_txn *t)
{
    if (t)
        t->store->class->abort(t);
}

static int find_table(const struct store *s, const char *table)
{
    for (size_t i = 0; i < s->n_tables; i++)
        if (!strcmp(s->tables[i], table))
            return (int)i;
    return -EINVAL;
}

static bool key_ok(struct store_slice key)
{
    return key.size >= 1 && key.size <= STORE_KEY_MAX;
}

int store_get(struct store_txn *t, const char *table, struct store_slice key,
              struct store_slice *ret)
{
    int i = find_table(t->store, table);
    if (i < 0 || !key_ok(key))
        return -EINVAL;
    return t->store->class->get(t, (size_t)i, key, ret);
}

/* The table's index, or -errno with 'err' filled. */
static int check_write(struct store_txn *t, const char *table,
                       struct store_slice key, struct sc_err *err)
{
    int i = find_table(t->store, table);
    if (i < 0)
        return sc_fail(err, -EINVAL, "store: no table '%s'", table);
    if (!key_ok(key))
        return sc_fail(err, -EINVAL,
                       "store: %s: a key of %zu bytes; it must have 1 to %d",
                       table, key.size, STORE_KEY_MAX);
    if (!t->write)
        return sc_fail(err, -EPERM, "store: %s: a read transaction", table);
    return i;
}

int store_put(struct store_txn *t, const char *table, struct store_slice key,
              struct store_slice value, struct sc_err *err)
{
    int i = check_write(t, table, key, err);
    return i < 0 ? i : t->store->class->put(t, (size_t)i, key, value, err);
}

int store_del(struct store_txn *t, const char *table, struct store_slice key,
              struct sc_err *err)
{
    int i = check_write(t, table, key, err);
    return i < 0 ? i : t->store->class->del(t, (size_t)i, key, err);
}

int store_each(struct store_txn *t, const char *table,
               struct store_slice prefix, store_each_fn *fn, void *arg)
{
    int i = find_table(t->store, table);
    if (i < 0 || prefix.size > STORE_KEY_MAX)
        return -EINVAL;
    return t->store->class->each(t, (size_t)i, prefix, fn, arg);
}

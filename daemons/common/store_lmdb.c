/* store_lmdb - the durable store (store.h) over LMDB; the only user of lmdb.h.
 *
 * LMDB's defaults are what we need: a commit fsyncs the data and then the meta
 * page, so that a crash at any moment leaves the last commit.  MDB_NOTLS lets
 * one thread hold a read transaction beside others. */
#include "common/store_class.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>

struct lmdb_store {
    struct store up; /* Must be first. */
    MDB_env *env;    /* Owned. */
    MDB_dbi dbis[STORE_TABLES_MAX];
};

struct lmdb_txn {
    struct store_txn up; /* Must be first. */
    MDB_txn *txn;        /* Owned. */
};

static int error(int r, struct sc_err *err, const char *what)
{
    int code = r == MDB_MAP_FULL                        ? -ENOSPC
               : r == MDB_NOTFOUND                      ? -ENOENT
               : r == MDB_BAD_VALSIZE                   ? -EINVAL
               : r == MDB_CORRUPTED || r == MDB_INVALID ? -EBADMSG
               : r > 0                                  ? -r
                                                        : -EIO;
    return sc_fail(err, code, "store: %s: %s", what, mdb_strerror(r));
}

static MDB_val val(struct store_slice s)
{
    return (MDB_val){ .mv_size = s.size, .mv_data = (void *)s.data };
}

static struct store_slice slice(MDB_val v)
{
    return (struct store_slice){ v.mv_data, v.mv_size };
}

static void lmdb_close(struct store *up)
{
    struct lmdb_store *s = (struct lmdb_store *)up;
    if (s->env)
        mdb_env_close(s->env);
    store_fini(up);
    free(s);
}

static int lmdb_begin(struct store *up, bool write, struct store_txn **ret,
                      struct sc_err *err)
{
    struct lmdb_store *s = (struct lmdb_store *)up;
    SC_AUTO(free) struct lmdb_txn *t = calloc(1, sizeof *t);
    if (!t)
        return sc_fail(err, -ENOMEM, "store: out of memory");
    int r = mdb_txn_begin(s->env, NULL, write ? 0 : MDB_RDONLY, &t->txn);
    if (r)
        return error(r, err, "begin");
    t->up = (struct store_txn){ .store = up, .write = write };
    *ret = &t->up;
    t = NULL;
    return 0;
}

static int lmdb_commit(struct store_txn *up, struct sc_err *err)
{
    struct lmdb_txn *t = (struct lmdb_txn *)up;
    int r = mdb_txn_commit(t->txn);
    free(t);
    return r ? error(r, err, "commit") : 0;
}

static void lmdb_abort(struct store_txn *up)
{
    struct lmdb_txn *t = (struct lmdb_txn *)up;
    mdb_txn_abort(t->txn);
    free(t);
}

static MDB_dbi dbi(struct store_txn *up, size_t table)
{
    return ((struct lmdb_store *)up->store)->dbis[table];
}

static int lmdb_get(struct store_txn *up, size_t table, struct store_slice key,
                    struct store_slice *ret)
{
    struct lmdb_txn *t = (struct lmdb_txn *)up;
    MDB_val k = val(key), v;
    int r = mdb_get(t->txn, dbi(up, table), &k, &v);
    if (r)
        return error(r, NULL, "get");
    *ret = slice(v);
    return 0;
}

static int lmdb_put(struct store_txn *up, size_t table, struct store_slice key,
                    struct store_slice value, struct sc_err *err)
{
    struct lmdb_txn *t = (struct lmdb_txn *)up;
    MDB_val k = val(key), v = val(value);
    int r = mdb_put(t->txn, dbi(up, table), &k, &v, 0);
    return r ? error(r, err, up->store->tables[table]) : 0;
}

static int lmdb_del(struct store_txn *up, size_t table, struct store_slice key,
                    struct sc_err *err)
{
    struct lmdb_txn *t = (struct lmdb_txn *)up;
    MDB_val k = val(key);
    int r = mdb_del(t->txn, dbi(up, table), &k, NULL);
    return r && r != MDB_NOTFOUND ? error(r, err, up->store->tables[table]) : 0;
}

static int lmdb_each(struct store_txn *up, size_t table,
                     struct store_slice prefix, store_each_fn *fn, void *arg)
{
    struct lmdb_txn *t = (struct lmdb_txn *)up;
    MDB_cursor *cursor;
    int r = mdb_cursor_open(t->txn, dbi(up, table), &cursor);
    if (r)
        return error(r, NULL, "cursor");
    MDB_val k = val(prefix), v;
    r = mdb_cursor_get(cursor, &k, &v, prefix.size ? MDB_SET_RANGE : MDB_FIRST);
    int stop = 0;
    while (!r && k.mv_size >= prefix.size &&
           (!prefix.size || !memcmp(k.mv_data, prefix.data, prefix.size))) {
        stop = fn(arg, slice(k), slice(v));
        if (stop)
            break;
        r = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return stop ? stop : r && r != MDB_NOTFOUND ? error(r, NULL, "cursor") : 0;
}

static const struct store_class lmdb_class = {
    .name = "lmdb",
    .close = lmdb_close,
    .begin = lmdb_begin,
    .commit = lmdb_commit,
    .abort = lmdb_abort,
    .get = lmdb_get,
    .put = lmdb_put,
    .del = lmdb_del,
    .each = lmdb_each,
};

static int open_tables(struct lmdb_store *s, struct sc_err *err)
{
    MDB_txn *txn;
    int r = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (r)
        return error(r, err, "begin");
    for (size_t i = 0; i < s->up.n_tables; i++) {
        r = mdb_dbi_open(txn, s->up.tables[i], MDB_CREATE, &s->dbis[i]);
        if (r) {
            mdb_txn_abort(txn);
            return error(r, err, s->up.tables[i]);
        }
    }
    r = mdb_txn_commit(txn);
    return r ? error(r, err, "commit") : 0;
}

/* LMDB syncs its file but not the folder that names it. */
static int sync_folder(const char *path, struct sc_err *err)
{
    SC_AUTO(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return sc_fail(err, -errno, "%s: fsync: %s", path, strerror(errno));
    return 0;
}

int store_lmdb_open(const char *path, size_t map_mib,
                    const char *const tables[], struct store **ret,
                    struct sc_err *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return sc_fail(err, -errno, "%s: mkdir: %s", path, strerror(errno));
    struct lmdb_store *made = calloc(1, sizeof *made);
    if (!made)
        return sc_fail(err, -ENOMEM, "%s: out of memory", path);
    SC_AUTO(store_close) struct store *s = &made->up;
    int r = store_init(s, &lmdb_class, tables, err);
    if (r < 0)
        return r;
    int e = mdb_env_create(&made->env);
    if (!e)
        e = mdb_env_set_mapsize(made->env, map_mib << 20);
    if (!e)
        e = mdb_env_set_maxdbs(made->env, STORE_TABLES_MAX);
    if (!e)
        e = mdb_env_open(made->env, path, MDB_NOTLS, 0600);
    if (e)
        return error(e, err, path);
    int n_dead; /* Reader slots of processes that were killed. */
    mdb_reader_check(made->env, &n_dead);
    r = open_tables(made, err);
    if (r == 0)
        r = sync_folder(path, err);
    if (r < 0)
        return r;
    *ret = SC_TAKE(s);
    return 0;
}

/* store - durable key/value state of one daemon, in tables.
 *
 * A vtable: LMDB is the embedded default (store_lmdb.c), memory the twin for
 * unit tests (store_mem.c); etcd comes for several controllers.  One writer
 * thread.  Keys are 1..511 bytes and ordered bytewise; values up to 256 MiB.
 * A transaction sees its own writes; commit is durable (fsync) when it returns.
 * Reads outside a write transaction use a read transaction.
 * Source: lmdb.h. */
#ifndef SC_COMMON_STORE_H
#define SC_COMMON_STORE_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;
struct store_txn;
struct store_slice {
    const void *data; /* Borrowed until the transaction ends or writes. */
    size_t size;      /* bytes */
};

/* Opens or makes folder 'path', mapping up to 'map_mib' MiB, with the tables
 * 'tables' (NULL-ended; at most 32).  0 or -errno with 'err' filled. */
int store_lmdb_open(const char *path, size_t map_mib,
                    const char *const tables[], struct store **ret,
                    struct sc_err *err) SC_MUST_CHECK;
int store_mem_open(const char *const tables[], struct store **ret,
                   struct sc_err *err) SC_MUST_CHECK;
void store_close(struct store *s); /* NULL is allowed. */
SC_CLEANUP(struct store, store_close)

int store_begin(struct store *s, bool write, struct store_txn **ret,
                struct sc_err *err) SC_MUST_CHECK;
/* Ends the transaction in every case; on failure nothing was stored. */
int store_commit(struct store_txn *t, struct sc_err *err) SC_MUST_CHECK;
void store_abort(struct store_txn *t); /* NULL is allowed. */
SC_CLEANUP(struct store_txn, store_abort)

/* -ENOENT: no such key (err untouched).  'table' is one of 'tables'. */
int store_get(struct store_txn *t, const char *table, struct store_slice key,
              struct store_slice *ret) SC_MUST_CHECK;
int store_put(struct store_txn *t, const char *table, struct store_slice key,
              struct store_slice value, struct sc_err *err) SC_MUST_CHECK;
/* Removes 'key'; absent is not an error. */
int store_del(struct store_txn *t, const char *table, struct store_slice key,
              struct sc_err *err) SC_MUST_CHECK;
/* Calls 'fn' for each key that begins with 'prefix', in order, until it returns
 * non-0, which is returned.  'fn' must not write to the table. */
typedef int store_each_fn(void *arg, struct store_slice key,
                          struct store_slice value);
int store_each(struct store_txn *t, const char *table,
               struct store_slice prefix, store_each_fn *fn, void *arg);

static inline struct store_slice store_str(const char *s)
{
    return (struct store_slice){ s, __builtin_strlen(s) };
}

#endif

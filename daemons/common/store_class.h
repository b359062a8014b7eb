/* store_class - for the makers of a store; users see store.h.
 *
 * A driver's store and transaction begin with these structs.  store.c checks
 * arguments (known table, key size, write transaction) before it calls. */
#ifndef SC_COMMON_STORE_CLASS_H
#define SC_COMMON_STORE_CLASS_H

#include "common/store.h"

enum { STORE_TABLES_MAX = 32, STORE_KEY_MAX = 511 };

struct store_class {
    const char *name;
    void (*close)(struct store *s);
    int (*begin)(struct store *s, bool write, struct store_txn **ret,
                 struct sc_err *err);
    int (*commit)(struct store_txn *t, struct sc_err *err);
    void (*abort)(struct store_txn *t);
    /* 'table' is the index in 'tables'. */
    int (*get)(struct store_txn *t, size_t table, struct store_slice key,
               struct store_slice *ret);
    int (*put)(struct store_txn *t, size_t table, struct store_slice key,
               struct store_slice value, struct sc_err *err);
    int (*del)(struct store_txn *t, size_t table, struct store_slice key,
               struct sc_err *err);
    int (*each)(struct store_txn *t, size_t table, struct store_slice prefix,
                store_each_fn *fn, void *arg);
};

struct store {
    const struct store_class *class;
    char *tables[STORE_TABLES_MAX]; /* Owned copies. */
    size_t n_tables;
};

struct store_txn {
    struct store *store;
    bool write;
};

/* Fills 'up'; -EINVAL: too many tables; -ENOMEM.  store_fini in every case. */
int store_init(struct store *up, const struct store_class *class,
               const char *const tables[], struct sc_err *err) SC_MUST_CHECK;
void store_fini(struct store *up);

#endif

/* store_cases - what every driver of store.h must do; the driver's test file
 * says STORE_CASES(its suite) after 'static struct store *open_store(...)'. */
#ifndef SC_TESTS_UNIT_COMMON_STORE_CASES_H
#define SC_TESTS_UNIT_COMMON_STORE_CASES_H

#include "common/store.h"
#include "helper.h"

static const char *const store_tables[] = { "nodes", "vms", NULL };

static struct store *open_store(const struct temp_dir *d);

static inline void put(struct store *s, const char *key, const char *value)
{
    struct store_txn *t;
    struct sc_err err;
    cr_assert_eq(store_begin(s, true, &t, &err), 0, "%s", err.text);
    cr_assert_eq(store_put(t, "nodes", store_str(key), store_str(value), &err),
                 0, "%s", err.text);
    cr_assert_eq(store_commit(t, &err), 0, "%s", err.text);
}

static inline bool has(struct store_txn *t, const char *key, const char *want)
{
    struct store_slice v;
    int r = store_get(t, "nodes", store_str(key), &v);
    if (!want)
        return r == -ENOENT;
    return r == 0 && v.size == strlen(want) && !memcmp(v.data, want, v.size);
}

static inline bool stored(struct store *s, const char *key, const char *want)
{
    SC_AUTO(store_abort) struct store_txn *t = NULL;
    cr_assert_eq(store_begin(s, false, &t, NULL), 0);
    return has(t, key, want);
}

static inline int collect(void *arg, struct store_slice key,
                          struct store_slice value)
{
    char *text = arg;
    size_t n = strlen(text);
    snprintf(text + n, 256 - n, "%.*s=%.*s ", (int)key.size,
             (const char *)key.data, (int)value.size, (const char *)value.data);
    return strstr(text, "stop") ? 7 : 0;
}

#define STORE_CASES(suite)                                                     \
    Test(suite, what_is_committed_is_there_what_is_aborted_is_not)             \
    {                                                                          \
        TEMP_DIR(d);                                                           \
        SC_AUTO(store_close) struct store *s = open_store(&d);                 \
        put(s, "a", "1");                                                      \
        struct store_txn *t;                                                   \
        cr_assert_eq(store_begin(s, true, &t, NULL), 0);                       \
        cr_assert_eq(                                                          \
            store_put(t, "nodes", store_str("b"), store_str("2"), NULL), 0);   \
        cr_assert_eq(store_del(t, "nodes", store_str("a"), NULL), 0);          \
        cr_expect(has(t, "b", "2") && has(t, "a", NULL), "its own writes");    \
        cr_expect(stored(s, "b", NULL) && stored(s, "a", "1"), "others not");  \
        store_abort(t);                                                        \
        cr_expect(stored(s, "b", NULL) && stored(s, "a", "1"));                \
    }                                                                          \
    Test(suite, a_reader_keeps_what_it_began_with)                             \
    {                                                                          \
        TEMP_DIR(d);                                                           \
        SC_AUTO(store_close) struct store *s = open_store(&d);                 \
        put(s, "a", "1");                                                      \
        struct store_txn *t;                                                   \
        cr_assert_eq(store_begin(s, false, &t, NULL), 0);                      \
        put(s, "a", "2");                                                      \
        cr_expect(has(t, "a", "1"));                                           \
        store_abort(t);                                                        \
        cr_expect(stored(s, "a", "2"));                                        \
    }                                                                          \
    Test(suite, keys_come_in_order_and_by_prefix_until_told_to_stop)           \
    {                                                                          \
        TEMP_DIR(d);                                                           \
        SC_AUTO(store_close) struct store *s = open_store(&d);                 \
        char text[256] = "", all[256] = "", none[256] = "";                    \
        put(s, "vm/2", "b");                                                   \
        put(s, "vm/1", "a");                                                   \
        put(s, "vn", "x");                                                     \
        put(s, "v", "w");                                                      \
        put(s, "vm/2", "stop");                                                \
        put(s, "vm/3", "c");                                                   \
        SC_AUTO(store_abort) struct store_txn *t = NULL;                       \
        cr_assert_eq(store_begin(s, false, &t, NULL), 0);                      \
        cr_expect_eq(store_each(t, "nodes", store_str("vm/"), collect, text),  \
                     7);                                                       \
        cr_expect_str_eq(text, "vm/1=a vm/2=stop ");                           \
        store_each(t, "nodes", store_str(""), collect, all);                   \
        cr_expect_str_eq(all, "v=w vm/1=a vm/2=stop ");                        \
        cr_expect_eq(store_each(t, "vms", store_str(""), collect, none), 0);   \
        cr_expect_str_eq(none, "");                                            \
    }                                                                          \
    Test(suite, misuse_is_an_error_that_is_named)                              \
    {                                                                          \
        TEMP_DIR(d);                                                           \
        SC_AUTO(store_close) struct store *s = open_store(&d);                 \
        char key[600];                                                         \
        memset(key, 'k', sizeof key);                                          \
        struct store_slice v, one = store_str("1");                            \
        struct sc_err err;                                                     \
        struct store_txn *t;                                                   \
        cr_assert_eq(store_begin(s, true, &t, NULL), 0);                       \
        cr_expect_eq(store_put(t, "nodes", (struct store_slice){ key, 512 },   \
                               one, &err),                                     \
                     -EINVAL);                                                 \
        cr_expect_eq(store_put(t, "nodes", (struct store_slice){ key, 511 },   \
                               one, &err),                                     \
                     0);                                                       \
        cr_expect_eq(store_put(t, "nodes", store_str(""), one, &err),          \
                     -EINVAL);                                                 \
        cr_expect_eq(store_put(t, "none", one, one, &err), -EINVAL);           \
        cr_expect(strstr(err.text, "'none'"));                                 \
        cr_expect_eq(store_get(t, "none", one, &v), -EINVAL);                  \
        cr_expect_eq(store_del(t, "nodes", store_str("absent"), &err), 0);     \
        store_abort(t);                                                        \
        cr_assert_eq(store_begin(s, false, &t, NULL), 0);                      \
        cr_expect_eq(store_put(t, "nodes", one, one, &err), -EPERM);           \
        store_abort(t);                                                        \
    }                                                                          \
    Test(suite, many_keys_and_an_empty_and_a_large_value, .timeout = 60)       \
    {                                                                          \
        TEMP_DIR(d);                                                           \
        SC_AUTO(store_close) struct store *s = open_store(&d);                 \
        struct store_txn *t;                                                   \
        struct store_slice v;                                                  \
        const size_t size = 9 << 20;                                           \
        char *large = calloc(1, size);                                         \
        cr_assert_eq(store_begin(s, true, &t, NULL), 0);                       \
        for (int i = 0; i < 2000; i++) {                                       \
            char key[16];                                                      \
            snprintf(key, sizeof key, "%d", i * 7919 % 2000);                  \
            cr_assert_eq(                                                      \
                store_put(t, "vms", store_str(key), store_str(key), NULL), 0); \
        }                                                                      \
        cr_assert_eq(store_put(t, "nodes", store_str("large"),                 \
                               (struct store_slice){ large, size }, NULL),     \
                     0);                                                       \
        cr_assert_eq(store_put(t, "nodes", store_str("empty"),                 \
                               (struct store_slice){ NULL, 0 }, NULL),         \
                     0);                                                       \
        cr_assert_eq(store_commit(t, NULL), 0);                                \
        cr_assert_eq(store_begin(s, false, &t, NULL), 0);                      \
        for (int i = 0; i < 2000; i++) {                                       \
            char key[16];                                                      \
            snprintf(key, sizeof key, "%d", i);                                \
            cr_assert_eq(store_get(t, "vms", store_str(key), &v), 0);          \
            cr_assert_eq(memcmp(v.data, key, v.size), 0);                      \
        }                                                                      \
        cr_expect_eq(store_get(t, "nodes", store_str("large"), &v), 0);        \
        cr_expect_eq(v.size, size);                                            \
        cr_expect_eq(store_get(t, "nodes", store_str("empty"), &v), 0);        \
        cr_expect_eq(v.size, 0);                                               \
        store_abort(t);                                                        \
        free(large);                                                           \
    }

#endif

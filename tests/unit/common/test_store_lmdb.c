#include "store_cases.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static struct store *open_store(const struct temp_dir *d)
{
    struct store *s;
    struct sc_err err;
    cr_assert_eq(store_lmdb_open(in(d, "db"), 64, store_tables, &s, &err), 0,
                 "%s", err.text);
    return s;
}

STORE_CASES(store_lmdb)

Test(store_lmdb, what_was_stored_is_there_after_opening_again)
{
    TEMP_DIR(d);
    struct store *s = open_store(&d);
    put(s, "a", "1");
    store_close(s);
    s = open_store(&d);
    cr_expect(stored(s, "a", "1"));
    store_close(s);
}

Test(store_lmdb, a_full_map_is_no_room_and_changes_nothing)
{
    TEMP_DIR(d);
    struct store *s;
    cr_assert_eq(store_lmdb_open(in(&d, "db"), 1, store_tables, &s, NULL), 0);
    put(s, "a", "1");
    struct store_txn *t;
    struct sc_err err;
    char *large = calloc(1, 2 << 20);
    cr_assert_eq(store_begin(s, true, &t, NULL), 0);
    cr_expect_eq(store_put(t, "nodes", store_str("b"),
                           (struct store_slice){ large, 2 << 20 }, &err),
                 -ENOSPC);
    store_abort(t);
    free(large);
    cr_expect(stored(s, "a", "1") && stored(s, "b", NULL));
    put(s, "c", "3");
    store_close(s);
}

Test(store_lmdb, a_folder_that_cannot_be_made_is_named)
{
    struct store *s;
    struct sc_err err;
    cr_expect_lt(store_lmdb_open("/proc/none/db", 1, store_tables, &s, &err),
                 0);
    cr_expect(strstr(err.text, "/proc/none/db"));
}

/* A child counts up, commit by commit, says after each how far it is, and is
 * killed with -9 somewhere.  What it said must be there, and nothing torn: both
 * tables of the last transaction agree. */
Test(store_lmdb, acknowledged_commits_survive_kill_9, .timeout = 60)
{
    TEMP_DIR(d);
    volatile uint64_t *said = mmap(NULL, sizeof *said, PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq((void *)said, MAP_FAILED);
    for (int round = 0; round < 8; round++) {
        *said = 0;
        pid_t pid = fork();
        cr_assert(pid >= 0);
        if (pid == 0) {
            struct store *s = open_store(&d);
            for (uint64_t n = 1;; n++) {
                struct store_txn *t;
                struct store_slice v = { &n, sizeof n };
                if (store_begin(s, true, &t, NULL) < 0 ||
                    store_put(t, "nodes", store_str("n"), v, NULL) < 0 ||
                    store_put(t, "vms", store_str("n"), v, NULL) < 0 ||
                    store_commit(t, NULL) < 0)
                    _exit(1);
                *said = n;
            }
        }
        while (*said < 3)
            usleep(100);
        usleep((useconds_t)(997 * round % 5000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        struct store *s = open_store(&d);
        struct store_txn *t;
        struct store_slice a, b;
        uint64_t na = 0, nb = 1;
        cr_assert_eq(store_begin(s, false, &t, NULL), 0);
        cr_assert_eq(store_get(t, "nodes", store_str("n"), &a), 0);
        cr_assert_eq(store_get(t, "vms", store_str("n"), &b), 0);
        memcpy(&na, a.data, sizeof na);
        memcpy(&nb, b.data, sizeof nb);
        cr_expect_eq(na, nb);
        cr_expect(na == *said || na == *said + 1, "stored %lu, said %lu",
                  (unsigned long)na, (unsigned long)*said);
        store_abort(t);
        store_close(s);
    }
}

#include "http/spool.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>

static char dir[] = "/tmp/test-spool-XXXXXX";

static void set_up(void)
{
    cr_assert(mkdtemp(dir));
}

static void tear_down(void)
{
    spool_clean(dir);
    cr_expect_eq(rmdir(dir), 0, "something was left in %s", dir);
}

TestSuite(spool, .init = set_up, .fini = tear_down);

Test(spool, a_whole_body_is_kept_with_its_digest)
{
    SC_AUTO(spool_free) struct spool *s = NULL;
    char sha[65];
    cr_assert_eq(spool_new(dir, 3, &s, NULL), 0);
    cr_assert_eq(spool_write(s, "a", 1, NULL), 0);
    cr_assert_eq(spool_write(s, "bc", 2, NULL), 0);
    cr_assert_eq(spool_finish(s, sha, NULL), 0);
    cr_expect_str_eq(sha, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb41"
                          "0ff61f20015ad");
    struct stat st;
    cr_assert_eq(stat(spool_path(s), &st), 0);
    cr_expect_eq(st.st_size, 3);
}

Test(spool, a_body_cut_short_is_an_error_that_counts)
{
    SC_AUTO(spool_free) struct spool *s = NULL;
    char sha[65];
    struct sc_err err = { 0 };
    cr_assert_eq(spool_new(dir, 5, &s, NULL), 0);
    cr_assert_eq(spool_write(s, "abc", 3, NULL), 0);
    cr_expect_eq(spool_finish(s, sha, &err), -EBADMSG);
    cr_expect(strstr(err.text, "3 of 5"), "%s", err.text);
}

Test(spool, more_than_declared_is_refused)
{
    SC_AUTO(spool_free) struct spool *s = NULL;
    cr_assert_eq(spool_new(dir, 2, &s, NULL), 0);
    cr_expect_eq(spool_write(s, "abc", 3, NULL), -EFBIG);
}

Test(spool, the_file_goes_unless_it_was_taken)
{
    char path[256];
    struct spool *s = NULL;
    cr_assert_eq(spool_new(dir, 0, &s, NULL), 0);
    snprintf(path, sizeof path, "%s", spool_path(s));
    cr_expect_eq(access(path, F_OK), 0);
    spool_free(s);
    cr_expect_neq(access(path, F_OK), 0);
    cr_assert_eq(spool_new(dir, 0, &s, NULL), 0);
    snprintf(path, sizeof path, "%s", spool_path(s));
    spool_take(s);
    spool_free(s);
    cr_expect_eq(access(path, F_OK), 0);
}

Test(spool, a_start_removes_what_a_crash_left)
{
    struct spool *s = NULL;
    cr_assert_eq(spool_new(dir, 0, &s, NULL), 0);
    spool_take(s);
    spool_free(s);
    cr_expect_eq(spool_clean(dir), 1);
    cr_expect_eq(spool_clean(dir), 0);
}

Test(spool, no_room_is_noticed_at_the_beginning)
{
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = { 4096, 4096 }; /* EFBIG stands for ENOSPC. */
    struct spool *s = NULL;
    struct sc_err err = { 0 };
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_expect_eq(spool_new(dir, 1 << 20, &s, &err), -EFBIG, "%s", err.text);
    cr_expect_null(s);
}

Test(spool, a_folder_that_is_not_there_is_named)
{
    struct spool *s = NULL;
    struct sc_err err = { 0 };
    cr_expect_eq(spool_new("/nonexistent-folder", 1, &s, &err), -ENOENT);
    cr_expect(strstr(err.text, "/nonexistent-folder"));
}

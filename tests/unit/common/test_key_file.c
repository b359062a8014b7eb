#include "common/key_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/stat.h>

static char path[64];

static void fresh(void)
{
    snprintf(path, sizeof path, "/tmp/sc-key-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    close(fd);
    unlink(path);
}

Test(key_file, it_is_made_once_for_its_owner_alone)
{
    uint8_t a[KEY_FILE_SIZE], b[KEY_FILE_SIZE], zero[KEY_FILE_SIZE] = { 0 };
    struct sc_err err;
    struct stat st;
    fresh();
    cr_assert_eq(key_file_ensure(path, &err), 0, "%s", err.text);
    cr_assert_eq(key_file_read(path, a, &err), 0, "%s", err.text);
    cr_assert_eq(key_file_ensure(path, &err), 0);
    cr_assert_eq(key_file_read(path, b, &err), 0);
    cr_expect_arr_eq(a, b, sizeof a);
    cr_expect_arr_neq(a, zero, sizeof a);
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 07777, 0400);
    unlink(path);
}

Test(key_file, two_files_are_two_keys)
{
    uint8_t a[KEY_FILE_SIZE], b[KEY_FILE_SIZE];
    struct sc_err err;
    for (int i = 0; i < 2; i++) {
        fresh();
        cr_assert_eq(key_file_ensure(path, &err), 0);
        cr_assert_eq(key_file_read(path, i ? a : b, &err), 0);
        unlink(path);
    }
    cr_expect_arr_neq(a, b, sizeof a);
}

Test(key_file, what_is_no_key_is_refused)
{
    static const char *const bad[] = {
        "",
        "00\n",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg\n",
        "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\n",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\n",
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(bad); i++) {
        uint8_t key[KEY_FILE_SIZE];
        struct sc_err err;
        fresh();
        FILE *f = fopen(path, "w");
        fputs(bad[i], f);
        fclose(f);
        cr_expect_eq(key_file_read(path, key, &err), -EINVAL, "case %zu", i);
        cr_expect_not(strstr(err.text, "0123"), "the key is not told");
        unlink(path);
    }
    uint8_t key[KEY_FILE_SIZE];
    cr_expect_eq(key_file_read("/nonexistent/k", key, NULL), -ENOENT);
}

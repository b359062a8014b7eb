/* Checksums of files. */
#include "provider/digest.h"

#include <criterion/criterion.h>
#include <fcntl.h>

static int file_with(const char *text)
{
    char path[] = "/tmp/sc-digest-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    cr_assert(fd >= 0);
    unlink(path);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

static const struct {
    const char *algorithm, *text, *want;
    uint64_t at, size;
} cases[] = {
    { "md5", "abc", "900150983cd24fb0d6963f7d28e17f72", 0, 3 },
    { "md5", "xxabcxx", "900150983cd24fb0d6963f7d28e17f72", 2, 3 },
    { "md5", "abc", "d41d8cd98f00b204e9800998ecf8427e", 3, 0 },
    { "sha256", "abc",
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 0,
      3 },
    { "sha512", "abc",
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
      "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
      0, 3 },
};

Test(digest, parts_of_a_file_have_the_checksums_of_the_standards)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        SC_AUTO(close) int fd = file_with(cases[i].text);
        char hex[DIGEST_HEX_MAX];
        cr_assert_eq(digest_file(fd, cases[i].algorithm, cases[i].at,
                                 cases[i].size, hex, NULL),
                     0);
        cr_expect_str_eq(hex, cases[i].want);
    }
}

Test(digest, a_file_that_is_too_short_is_an_error)
{
    SC_AUTO(close) int fd = file_with("abc");
    char hex[DIGEST_HEX_MAX];
    struct sc_err err = { 0 };
    cr_expect_eq(digest_file(fd, "md5", 0, 4, hex, &err), -EIO);
    cr_expect(strstr(err.text, "shorter"), "%s", err.text);
}

Test(digest, an_unknown_algorithm_is_named)
{
    SC_AUTO(close) int fd = file_with("abc");
    char hex[DIGEST_HEX_MAX];
    struct sc_err err = { 0 };
    cr_expect_eq(digest_file(fd, "md9", 0, 3, hex, &err), -EINVAL);
    cr_expect(strstr(err.text, "'md9'"), "%s", err.text);
}

#include "provider/image_file.h"

#include "provider/provider-class.h"

#include <criterion/criterion.h>

static const char *file_with(const char *text, char path[32])
{
    snprintf(path, 32, "/tmp/image_file.XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

Test(image_file, a_file_is_compared_with_its_checksum)
{
    char path[32];
    struct image_file f;
    struct provider p = { 0 };
    struct sc_err err = { 0 };
    uint8_t md5[16];
    cr_assert_eq(image_file_open(file_with("abc", path), &f, &err), 0);
    cr_expect_eq(f.size, 3);
    cr_expect_eq(image_file_check(&f, &p,
                                  "ba7816bf8f01cfea414140de5dae2223"
                                  "b00361a396177a9cb410ff61f20015ad",
                                  md5, &err),
                 0);
    cr_expect_eq(md5[0], 0x90);
    cr_expect_eq(md5[15], 0x72);
    cr_expect_eq(image_file_check(&f, &p, "ba78", NULL, &err), -EINVAL);
    cr_expect_not_null(strstr(err.text, "SHA-256"));
    cr_expect_eq(image_file_check(&f, &p, "", NULL, &err), 0);
    image_file_close(&f);
    unlink(path);
}

Test(image_file, reading_past_the_end_is_an_error)
{
    char path[32], buf[4];
    struct image_file f;
    struct sc_err err = { 0 };
    cr_assert_eq(image_file_open(file_with("abc", path), &f, &err), 0);
    cr_expect_eq(image_file_read(&f, 1, buf, 2, &err), 0);
    cr_expect_eq(memcmp(buf, "bc", 2), 0);
    cr_expect_eq(image_file_read(&f, 1, buf, 3, &err), -EINVAL);
    image_file_close(&f);
    unlink(path);
}

Test(image_file, what_is_no_file_with_content_is_refused)
{
    char path[32];
    struct image_file f;
    struct sc_err err = { 0 };
    unlink(file_with("", path));
    cr_expect_eq(image_file_open(path, &f, &err), -ENOENT);
    cr_expect_eq(image_file_open("/tmp", &f, &err), -EINVAL);
    image_file_close(&f);
    cr_expect_eq(image_file_open(file_with("", path), &f, &err), -EINVAL);
    image_file_close(&f);
    unlink(path);
}

Test(image_file, zeros_are_told_from_the_rest)
{
    char buf[4096] = { 0 };
    cr_expect(image_file_zero(buf, sizeof buf));
    cr_expect(image_file_zero(buf, 0));
    buf[4095] = 1;
    cr_expect_not(image_file_zero(buf, sizeof buf));
    cr_expect(image_file_zero(buf, 4095));
}

/* What Rackspace's import wants of a VHD, before it is sent. */
#include "provider/p_rackspace_classic.h"

#include <criterion/criterion.h>
#include <endian.h>
#include <fcntl.h>

enum { SIZE = 2048 };

static int vhd(uint32_t kind, uint64_t bytes, int id)
{
    char path[] = "/tmp/sc-vhd-XXXXXX";
    unsigned char f[512] = "conectix";
    int fd = mkostemp(path, O_CLOEXEC);
    cr_assert(fd >= 0);
    unlink(path);
    bytes = htobe64(bytes);
    kind = htobe32(kind);
    memcpy(f + 48, &bytes, sizeof bytes);
    memcpy(f + 60, &kind, sizeof kind);
    memset(f + 68, id, 16);
    cr_assert_eq(pwrite(fd, f, sizeof f, SIZE - (off_t)sizeof f),
                 (ssize_t)sizeof f);
    return fd;
}

static const struct {
    uint32_t kind;
    uint64_t bytes;
    int id, code;
    const char *words;
} cases[] = {
    { 2, 1 << 20, 7, 0, "" },
    { 3, 40ULL << 30, 7, 0, "" },
    { 4, 1 << 20, 7, -EINVAL, "parent" },
    { 2, (40ULL << 30) + 512, 7, -EINVAL, "40 GB" },
    { 2, 1 << 20, 0, -EINVAL, "UUID is zero" },
};

Test(p_rackspace_classic, a_vhd_that_would_be_refused_is_not_sent)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        SC_AUTO(close)
        int fd = vhd(cases[i].kind, cases[i].bytes, cases[i].id);
        struct sc_err err = { 0 };
        cr_expect_eq(rax_check_vhd(fd, SIZE, &err), cases[i].code, "%s",
                     err.text);
        cr_expect(strstr(err.text, cases[i].words), "%s", err.text);
    }
}

Test(p_rackspace_classic, what_has_no_footer_is_no_vhd)
{
    SC_AUTO(close) int fd = vhd(2, 1 << 20, 7);
    struct sc_err err = { 0 };
    cr_expect_eq(rax_check_vhd(fd, SIZE - 512, &err), -EINVAL);
    cr_expect_eq(rax_check_vhd(fd, 100, &err), -EINVAL);
    cr_expect(strstr(err.text, "footer"), "%s", err.text);
}

#include "provider/image_file.h"
#include "provider/p_azure.h"

#include <criterion/criterion.h>

enum { MIB = 1 << 20 };

/* A file with the footer of a fixed VHD of 'size' bytes, 'type' 2 being fixed;
 * 'file_size' bytes long. */
static int check(uint64_t file_size, uint64_t size, unsigned char type,
                 bool good_sum, struct sc_err *err)
{
    char path[] = "/tmp/vhd.XXXXXX";
    unsigned char b[512] = "conectix";
    uint32_t sum = 0;
    struct image_file f;
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    for (int i = 0; i < 8; i++)
        b[48 + i] = (unsigned char)(size >> (56 - 8 * i));
    b[63] = type;
    for (int i = 0; i < 512; i++)
        sum += b[i];
    sum = ~sum + !good_sum;
    for (int i = 0; i < 4; i++)
        b[64 + i] = (unsigned char)(sum >> (24 - 8 * i));
    cr_assert_eq(pwrite(fd, b, 512, (off_t)file_size - 512), 512);
    close(fd);
    cr_assert_eq(image_file_open(path, &f, err), 0);
    int r = azure_vhd_check(&f, err);
    image_file_close(&f);
    unlink(path);
    return r;
}

Test(p_azure_upload, only_a_fixed_vhd_of_whole_mib_is_taken)
{
    struct sc_err err = { 0 };
    cr_expect_eq(check(2 * MIB + 512, 2 * MIB, 2, true, &err), 0);
    cr_expect_eq(check(2 * MIB + 512, 2 * MIB, 3, true, &err), -EINVAL);
    cr_expect_not_null(strstr(err.text, "fixed VHD"));
    cr_expect_eq(check(2 * MIB + 512, 2 * MIB, 2, false, &err), -EINVAL);
    cr_expect_eq(check(2 * MIB + 512, 3 * MIB, 2, true, &err), -EINVAL);
    cr_expect_eq(check(2 * MIB + 1024, 2 * MIB + 512, 2, true, &err), -EINVAL);
    cr_expect_not_null(strstr(err.text, "whole MiB"));
    cr_expect_eq(check(1024, 512, 2, true, &err), -EINVAL);
}

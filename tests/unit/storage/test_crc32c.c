/* Tests of daemons/storage/crc32c.c. */
#include "storage/crc32c.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* RFC 3720, appendix B.4. */
static const struct {
    const char *name;
    int first, step;
    size_t size;
    uint32_t want;
} vectors[] = {
    { "32 zeros", 0, 0, 32, 0x8a9136aa },
    { "32 ones", 0xff, 0, 32, 0x62a8ab43 },
    { "32 counting up", 0, 1, 32, 0x46dd794e },
    { "32 counting down", 31, -1, 32, 0x113fdb5c },
    { "nothing", 0, 0, 0, 0 },
};

Test(crc32c, gives_the_sums_of_the_rfc_both_ways)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint8_t buf[32];
        for (size_t k = 0; k < vectors[i].size; k++)
            buf[k] = (uint8_t)(vectors[i].first + vectors[i].step * (int)k);
        cr_expect_eq(crc32c(0, buf, vectors[i].size), vectors[i].want, "%s",
                     vectors[i].name);
        cr_expect_eq(crc32c_tables(0, buf, vectors[i].size), vectors[i].want,
                     "%s", vectors[i].name);
    }
}

Test(crc32c, instruction_and_tables_agree_at_every_size_and_alignment)
{
    uint8_t *buf = malloc(20000);
    for (int i = 0; i < 20000; i++)
        buf[i] = (uint8_t)(i * 2654435761u >> 13);
    for (size_t size = 0; size < 9000; size += 1 + size / 7)
        for (size_t at = 0; at < 9; at++)
            cr_assert_eq(crc32c(7, buf + at, size),
                         crc32c_tables(7, buf + at, size), "%zu at %zu", size,
                         at);
    free(buf);
}

Test(crc32c, can_be_continued)
{
    uint8_t buf[5000];
    for (int i = 0; i < 5000; i++)
        buf[i] = (uint8_t)(i * 7);
    cr_expect_eq(crc32c(crc32c(0, buf, 4100), buf + 4100, 900),
                 crc32c(0, buf, 5000));
}

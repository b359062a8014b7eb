#include "provider/p_gce.h"

#include <criterion/criterion.h>

Test(p_gce_upload, the_next_byte_follows_from_the_range)
{
    static const struct {
        const char *range;
        uint64_t want;
    } cases[] = { { "bytes=0-262143", 262144 },
                  { "bytes=0-0", 1 },
                  { NULL, 0 },
                  { "", 0 },
                  { "bytes=0-", 0 },
                  { "bytes=0--5", 0 },
                  { "bytes=5-10", 0 },
                  { "bytes=0-12x", 0 },
                  { "bytes=0-99999999999999999999", 0 } };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++)
        cr_expect_eq(gce_range_next(cases[i].range), cases[i].want, "case %zu",
                     i);
}

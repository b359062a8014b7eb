#include "http/server.h"

#include <criterion/criterion.h>

static const struct {
    int code, want;
} cases[] = {
    { -EINVAL, 400 }, { -EPERM, 401 },        { -EACCES, 403 },
    { -ENOENT, 404 }, { -EEXIST, 409 },       { -EBUSY, 409 },
    { -EFBIG, 413 },  { -EAGAIN, 429 },       { -ENOSPC, 507 },
    { -EDQUOT, 507 }, { -EHOSTUNREACH, 503 }, { -ETIMEDOUT, 504 },
    { -ENOSYS, 501 }, { -EOPNOTSUPP, 405 },   { -EIO, 500 },
    { -ENXIO, 500 },
};

Test(status, codes_become_the_statuses_of_the_document)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++)
        cr_expect_eq(http_status_of(cases[i].code), cases[i].want, "%d",
                     cases[i].code);
}

Test(status, the_sign_does_not_matter)
{
    cr_expect_eq(http_status_of(ENOENT), 404);
}

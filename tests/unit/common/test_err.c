#include "common/err.h"

#include <criterion/criterion.h>

Test(err, fail_fills_and_returns_the_code)
{
    struct sc_err err = { 0 };
    cr_expect_eq(sc_fail(&err, -ENOENT, "no %s", "x"), -ENOENT);
    cr_expect_eq(err.code, -ENOENT);
    cr_expect_str_eq(err.text, "no x");
    cr_expect_eq(sc_fail(NULL, -EIO, "nobody reads it"), -EIO);
}

Test(err, text_is_cut_not_overrun)
{
    struct sc_err err;
    char text[2 * SC_ERR_TEXT];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    sc_fail(&err, -EIO, "%s", text);
    cr_expect_eq(strlen(err.text), SC_ERR_TEXT - 1);
    sc_fail_in(&err, "%s", text);
    cr_expect_lt(strlen(err.text), SC_ERR_TEXT);
}

Test(err, a_prefix_goes_before)
{
    struct sc_err err;
    sc_fail(&err, -EINVAL, "bad");
    cr_expect_eq(sc_fail_in(&err, "vm '%s'", "a"), -EINVAL);
    cr_expect_str_eq(err.text, "vm 'a': bad");
}

static const struct {
    int code;
    const char *name;
} names[] = {
    { -ENOENT, "ENOENT" },         { -EAGAIN, "EAGAIN" },
    { -ETIME, "ETIME" },           { -EALREADY, "EALREADY" },
    { -EBADMSG, "EBADMSG" },       { -EDQUOT, "EDQUOT" },
    { -EOPNOTSUPP, "EOPNOTSUPP" },
};

Test(err, names_and_codes_are_each_others_inverse)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(names); i++) {
        cr_expect_str_eq(sc_err_name(names[i].code), names[i].name);
        cr_expect_str_eq(sc_err_name(-names[i].code), names[i].name);
        cr_expect_eq(sc_err_code(names[i].name), names[i].code);
    }
    cr_expect_str_eq(sc_err_name(0), "E?");
    cr_expect_str_eq(sc_err_name(-99999), "E?");
    cr_expect_eq(sc_err_code("EWHAT"), -EIO);
    cr_expect_eq(sc_err_code(NULL), -EIO);
    cr_expect_eq(sc_err_code("ENOTSUP"), -EOPNOTSUPP);
}

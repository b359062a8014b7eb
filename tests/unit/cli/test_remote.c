#include "cli/remote.h"

#include "common/json.h"

#include <criterion/criterion.h>
#include <string.h>

Test(remote, path_segments_are_escaped)
{
    SC_AUTO(free) char *a = remote_escape("hello-1.x_~");
    SC_AUTO(free) char *b = remote_escape("../a b?c");
    cr_expect_str_eq(a, "hello-1.x_~");
    cr_expect_str_eq(b, "..%2Fa%20b%3Fc");
}

static const struct {
    long status;
    const char *body;
    int want;
} cases[] = {
    { 200, "{\"a\":1}", 0 },
    { 202, "{}", 0 },
    { 200, "<html>", -EPROTO },
    { 404, "{\"error\":{\"code\":\"ENOENT\",\"message\":\"gone\"}}", -ENOENT },
    { 507, "{\"error\":{\"code\":\"ENOSPC\",\"message\":\"full\"}}", -ENOSPC },
    { 500, "{\"error\":{\"code\":\"EWHAT\",\"message\":\"?\"}}", -EIO },
    { 404, "not found", -EPROTO },
    { 502, "", -EPROTO },
};

Test(remote, an_answer_is_json_or_the_error_it_names)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        struct https_client_answer a = { cases[i].status, (char *)cases[i].body,
                                         strlen(cases[i].body) };
        SC_AUTO(cjson_free) cJSON *o = NULL;
        struct sc_err err = { 0 };
        cr_expect_eq(remote_decode(&a, &o, &err), cases[i].want, "case %zu: %s",
                     i, err.text);
    }
}

#include "provider/rest.h"

#include "common/json.h"

#include <criterion/criterion.h>
#include <ctype.h>

static const struct rest_word table[] = {
    { "QuotaExceeded", -EDQUOT, "ask for more" },
    { NULL, 0, NULL },
};

Test(rest, a_refusal_has_the_words_the_code_the_request_and_what_to_do)
{
    const struct rest r = { .who = "moon", .words = table };
    struct web_header h = { "x-ms-request-id", "abc-1" };
    const struct web_answer a = {
        .status = 403, .body = (char *)"", .headers = &h, .n_headers = 1
    };
    SC_AUTO(cjson_free)
    cJSON *o = rest_json("{'error':{'code':'quotaexceeded','message':'8 "
                         "cores.','target':'size'}}");
    struct sc_err err = { 0 };
    cr_expect_eq(rest_refuse(&r, "instance 'x'", 403, o, &a, &err), -EDQUOT);
    cr_expect_str_eq(err.text, "moon: instance 'x': 8 cores (quotaexceeded of "
                               "size, HTTP 403, request abc-1): ask for more");
}

Test(rest, an_unknown_code_goes_by_the_status)
{
    const struct rest r = { .who = "moon", .words = table };
    SC_AUTO(cjson_free) cJSON *o = rest_json("{'error':{'code':'Odd'}}");
    struct sc_err err = { 0 };
    cr_expect_eq(rest_refuse(&r, "disk", 404, o, NULL, &err), -ENOENT);
    cr_expect_eq(rest_refuse(&r, "disk", 401, o, NULL, &err), -EACCES);
    cr_expect_eq(rest_refuse(&r, "disk", 0, o, NULL, &err), -EIO);
    cr_expect_str_eq(err.text, "moon: disk: refused without a word (Odd)");
}

Test(rest, long_words_leave_room_for_the_advice)
{
    const struct rest r = { .who = "moon", .words = table };
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    SC_AUTO(cjson_free)
    cJSON *o =
        rest_json("{'error':{'code':'QuotaExceeded','message':%s}}", text);
    struct sc_err err = { 0 };
    rest_refuse(&r, "disk", 403, o, NULL, &err);
    cr_expect_not_null(strstr(err.text, "ask for more"));
}

Test(rest, the_same_seed_gives_the_same_uuid)
{
    char a[37], b[37], c[37];
    rest_uuid_of("job-7/node", a);
    rest_uuid_of("job-7/node", b);
    rest_uuid_of("job-8/node", c);
    cr_expect(sc_uuid_ok(a));
    cr_expect_str_eq(a, b);
    cr_expect_str_neq(a, c);
    cr_expect_eq(a[14], '4');
    cr_expect_not_null(strchr("89ab", a[19]));
}

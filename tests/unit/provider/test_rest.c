#include "provider/rest.h"

#include "common/json.h"
#include "script.h"

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

/* --- with a server -------------------------------------------------------- */
#define JSON "HTTP/1.1 200 OK\r\n\r\n" /* Ends with the connection. */
#define RUNNING JSON "{\"s\":\"going\"}"
#define DONE JSON "{\"s\":\"done\"}"
#define FAILED                                                                 \
    JSON "{\"s\":\"failed\",\"error\":{\"code\":\"QuotaExceeded\","            \
         "\"message\":\"8 cores.\"}}"

static enum rest_step look(const struct rest_answer *a)
{
    const char *s = rest_str(a->json, "s");
    return !strcmp(s, "done")     ? REST_DONE
           : !strcmp(s, "failed") ? REST_FAILED
                                  : REST_WAIT;
}

static int login(void *arg, char **ret, uint64_t *ret_until, struct sc_err *err)
{
    (void)arg;
    (void)err;
    *ret = strdup("t");
    *ret_until = UINT64_MAX;
    return *ret ? 0 : -ENOMEM;
}

static bool is_set(void *arg)
{
    return *(const bool *)arg;
}

/* An operation at 's', in state 'first' by the answer that began it. */
static int wait_for(struct script *s, enum rest_step first, unsigned max_ms,
                    bool cancel, struct rest_answer *a, struct sc_err *err)
{
    SC_AUTO(web_free) struct web *w = NULL;
    struct web_options options = { .retry_ms = 1,
                                   .cancelled = is_set,
                                   .arg = &cancel };
    char url[64];
    start(s);
    cr_assert_eq(web_new(&options, &w, err), 0, "%s", err->text);
    struct rest r = { .who = "moon", .web = w, .words = table, .login = login };
    snprintf(url, sizeof url, "http://127.0.0.1:%u/operations/7", s->port);
    const struct rest_operation o = { .url = url,
                                      .what = "instance 'x'",
                                      .step = first,
                                      .look = look,
                                      .first_ms = 1,
                                      .last_ms = 2,
                                      .max_ms = max_ms };
    int code = rest_wait(&r, &o, a, err);
    rest_clear(&r);
    stop(s);
    return code;
}

Test(rest, an_operation_is_looked_at_until_it_is_done)
{
    struct script s = { .answers = { RUNNING, RUNNING, RUNNING, DONE } };
    struct rest_answer a = { 0 };
    struct sc_err err = { 0 };
    cr_assert_eq(wait_for(&s, REST_WAIT, 60000, false, &a, &err), 0, "%s",
                 err.text);
    cr_expect_eq(s.n_seen, 4);
    cr_expect_str_eq(rest_str(a.json, "s"), "done", "the last answer is kept");
    cr_expect_not_null(strstr(s.seen[3], "GET /operations/7 "));
    cr_expect_not_null(strstr(s.seen[3], "Authorization: Bearer t"));
    rest_answer_clear(&a);
}

Test(rest, one_that_is_done_at_once_is_not_asked_for)
{
    struct script s = { .answers = { DONE } };
    struct rest_answer a = { 0 };
    struct sc_err err = { 0 };
    cr_expect_eq(wait_for(&s, REST_DONE, 60000, false, &a, &err), 0);
    cr_expect_eq(s.n_seen, 0);
}

Test(rest, one_that_failed_is_refused_in_its_own_words)
{
    struct script s = { .answers = { RUNNING, FAILED } };
    struct rest_answer a = { 0 };
    struct sc_err err = { 0 };
    cr_expect_eq(wait_for(&s, REST_WAIT, 60000, false, &a, &err), -EDQUOT);
    cr_expect_str_eq(err.text, "moon: instance 'x': 8 cores (QuotaExceeded): "
                               "ask for more");
    rest_answer_clear(&a);
    a.json = rest_json("{'s':'failed','error':{'code':'Odd'}}");
    struct script none = { .answers = { DONE } };
    cr_expect_eq(wait_for(&none, REST_FAILED, 60000, false, &a, &err), -EIO);
    cr_expect_not_null(strstr(err.text, "(Odd)"), "%s", err.text);
    rest_answer_clear(&a);
}

Test(rest, the_wait_for_an_operation_has_an_end)
{
    struct script s = { .answers = { RUNNING, RUNNING, RUNNING, DONE } };
    struct rest_answer a = { 0 };
    struct sc_err err = { 0 };
    cr_expect_eq(wait_for(&s, REST_WAIT, 2, false, &a, &err), -ETIMEDOUT);
    cr_expect_str_eq(err.text, "moon: instance 'x': not done after 0 minutes");
    cr_expect_eq(s.n_seen, 2, "after 1 ms, and 2 ms later");
    rest_answer_clear(&a);
    cr_expect_eq(wait_for(&s, REST_WAIT, 60000, true, &a, &err), -ECANCELED);
    rest_answer_clear(&a);
}

Test(rest, what_is_not_there_can_be_as_good_as_done)
{
    struct sc_err err = { .code = -ENOENT, .text = "gone" };
    cr_expect_eq(rest_absent_ok(-EACCES, &err), -EACCES);
    cr_expect_str_eq(err.text, "gone");
    cr_expect_eq(rest_absent_ok(-ENOENT, &err), 0);
    cr_expect_eq(err.code, 0);
    cr_expect_str_eq(err.text, "");
    cr_expect_eq(rest_absent_ok(-ENOENT, NULL), 0);
    cr_expect_eq(rest_absent_ok(0, &err), 0);
}

Test(rest, a_token_is_taken_from_the_answer_or_there_is_none)
{
    static const struct {
        const char *answer;
        int want;
    } cases[] = {
        { JSON "{\"access_token\":\"abc\",\"expires_in\":60}", 0 },
        { JSON "{\"access_token\":\"abc\",\"expires_in\":\"60\"}", 0 },
        { JSON "{\"access_token\":\"abc\",\"expires_in\":0}", -EPROTO },
        { JSON "{\"access_token\":\"\",\"expires_in\":60}", -EPROTO },
        { JSON "{\"access_token\":\"a\\r\\n\",\"expires_in\":60}", -EPROTO },
        { JSON "hi", -EPROTO },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        struct script s = { .answers = { cases[i].answer } };
        struct sc_err err = { 0 };
        SC_AUTO(free) char *token = NULL;
        SC_AUTO(web_free) struct web *w = NULL;
        uint64_t until = 0, now = rest_now();
        char url[64];
        start(&s);
        cr_assert_eq(web_new(&(struct web_options){ .retry_ms = 1 }, &w, &err),
                     0);
        struct rest r = { .who = "moon", .web = w };
        snprintf(url, sizeof url, "http://127.0.0.1:%u/token", s.port);
        cr_expect_eq(rest_ask_token(&r, url, "a=b", &token, &until, &err),
                     cases[i].want, "case %zu: %s", i, err.text);
        cr_expect_not_null(strstr(s.seen[0], "POST /token "));
        cr_expect_not_null(strstr(s.seen[0], "\r\n\r\na=b"));
        cr_expect_eq(token != NULL, cases[i].want == 0);
        if (token) {
            cr_expect_str_eq(token, "abc");
            cr_expect_geq(until, now + 60000);
        }
        stop(&s);
    }
}

/* The worker's lines, with the local driver behind it. */
#include "provider/worker.h"

#include "common/json.h"
#include "provider/run.h"

#include <criterion/criterion.h>
#include <signal.h>

/* Runs the worker over 'request'; the last line, parsed. */
static cJSON *ask(const char *request, int *ret_status)
{
    char *text = NULL;
    size_t size = 0;
    FILE *in = fmemopen((void *)request, strlen(request), "r");
    FILE *out = open_memstream(&text, &size);
    int status = worker_run(in, out);
    if (ret_status)
        *ret_status = status;
    fclose(in);
    fclose(out);
    cr_assert(size > 0 && text[size - 1] == '\n');
    text[size - 1] = '\0';
    char *line = strrchr(text, '\n');
    cJSON *last = cJSON_Parse(line ? line + 1 : text);
    cr_assert(last, "%s", text);
    free(text);
    return last;
}

static void expect_error(const char *request, const char *code,
                         const char *words)
{
    int status;
    SC_AUTO(cjson_free) cJSON *last = ask(request, &status);
    const cJSON *e = cJSON_GetObjectItem(last, "error");
    cr_expect_eq(status, 0);
    cr_assert(e, "%s", request);
    cr_expect_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(e, "code")),
                     code);
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(e, "message"));
    cr_expect(strstr(text, words), "%s", text);
}

#define LOCAL "{\"driver\": \"local\", \"config\": {\"dir\": \"/tmp\"}, "

Test(worker, a_call_ends_with_its_result)
{
    int status;
    SC_AUTO(cjson_free)
    cJSON *last = ask(
        LOCAL "\"call\": \"types\", \"args\": {\"region\": null}}", &status);
    const cJSON *types =
        cJSON_GetObjectItem(cJSON_GetObjectItem(last, "result"), "types");
    cr_expect_eq(status, 0);
    cr_assert(cJSON_GetArraySize(types) > 0);
    const cJSON *first = cJSON_GetArrayItem(types, 0);
    cr_expect(cJSON_IsString(cJSON_GetObjectItem(first, "name")));
    cr_expect(cJSON_IsNumber(cJSON_GetObjectItem(first, "memory_mib")));
    cr_expect(cJSON_IsBool(cJSON_GetObjectItem(first, "xen")));
}

static const struct {
    const char *request, *code, *words;
} wrong[] = {
    { "{", "EINVAL", "not JSON" },
    { "[]", "EINVAL", "request" },
    { "{\"driver\": \"local\", \"call\": \"list\"}", "EINVAL", "config" },
    { "{\"driver\": \"moon\", \"config\": {}, \"call\": \"list\"}", "ENOENT",
      "local" },
    { LOCAL "\"call\": \"fly\"}", "EINVAL", "'fly'" },
    { LOCAL "\"call\": \"list\", \"more\": 1}", "EINVAL", "more" },
    { LOCAL "\"call\": \"fence\"}", "EINVAL", "'id' is missing" },
    { LOCAL "\"call\": \"fence\", \"args\": {\"id\": 7}}", "EINVAL",
      "'id' must be text" },
    { LOCAL "\"call\": \"list\", \"args\": {\"place\": \"x\"}}", "EINVAL",
      "'place'" },
    { LOCAL "\"call\": \"launch\", \"tags\": {\"cluster\": \"c\", \"token\": "
            "\"t\"}, \"args\": {\"name\": \"a\", \"image\": \"i\", \"rules\": "
            "[{\"protocol\": \"tcp\", \"port_from\": 70000, \"cidr\": "
            "\"::/0\"}]}}",
      "EINVAL", "port_from" },
    { LOCAL "\"call\": \"launch\", \"tags\": {\"cluster\": \"c\", \"token\": "
            "\"t\"}, \"args\": {\"name\": \"a\", \"image\": "
            "\"/nowhere/image\"}}",
      "ENOENT", "/nowhere/image" },
    { LOCAL "\"call\": \"leftovers\", \"tags\": {\"cluster\": \"no good\"}}",
      "EINVAL", "cluster" },
};

Test(worker, an_error_has_a_code_and_says_what_was_wrong)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(wrong); i++)
        expect_error(wrong[i].request, wrong[i].code, wrong[i].words);
}

Test(worker, an_error_is_one_line_of_plain_text)
{
    expect_error(LOCAL "\"call\": \"launch\", \"tags\": {\"cluster\": \"c\", "
                       "\"token\": \"t\"}, \"args\": {\"name\": \"a\", "
                       "\"image\": \"one\\ntwo\"}}",
                 "ENOENT", "one two");
}

static const struct {
    const char *given, *want;
} texts[] = {
    { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
      "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
    { "cut \xc3", "cut ?" },
    { "cut \xe2\x82", "cut ??" },
    { "too long \xc0\xaf \xe0\x80\xaf", "too long ?? ???" },
    { "half a pair \xed\xa0\x80", "half a pair ???" },
    { "\xff\xfe", "??" },
};

Test(worker, an_error_is_utf8_whatever_was_in_it)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(texts); i++) {
        char request[256], want[64];
        snprintf(request, sizeof request, LOCAL "\"call\": \"%s\"}",
                 texts[i].given);
        snprintf(want, sizeof want, "'%s'", texts[i].want);
        expect_error(request, "EINVAL", want);
    }
}

Test(worker, a_signal_that_waits_cancels)
{
    worker_block_signals();
    cr_expect_not(worker_cancelled(NULL));
    raise(SIGTERM);
    cr_expect(worker_cancelled(NULL));
}

Test(worker, a_program_that_it_starts_can_be_ended_by_signals)
{
    struct sc_err err = { 0 };
    worker_block_signals();
    const char *const argv[] = { "sh", "-c", "kill -TERM $$; echo survived",
                                 NULL };
    cr_expect_eq(run_program("/", argv, &err), -EIO);
    cr_expect(strstr(err.text, "signal 15"), "%s", err.text);
}

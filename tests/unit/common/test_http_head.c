#include "common/http_head.h"

#include <criterion/criterion.h>

static const struct {
    const char *name, *text;
    long want; /* -2: as long as the text; else as returned. */
} heads[] = {
    { "request", "GET / HTTP/1.1\r\n\r\n", -2 },
    { "with headers", "GET / HTTP/1.1\r\nA: b\r\nC:d\r\n\r\n", -2 },
    { "empty value", "GET / HTTP/1.1\r\nA:\r\n\r\n", -2 },
    { "response", "HTTP/1.1 200 OK\r\n\r\n", -2 },
    { "reason of words", "HTTP/1.1 404 Not Found\r\n\r\n", -2 },
    { "nothing", "", 0 },
    { "half a line", "GET / HT", 0 },
    { "no empty line", "GET / HTTP/1.1\r\nA: b\r\n", 0 },
    { "bare LF", "GET / HTTP/1.1\n\r\n\r\n", -EPROTO },
    { "bare CR", "GET / HTTP/1.1\rX: y\r\n\r\n", -EPROTO },
    { "NUL is not text", "GET /\001 HTTP/1.1\r\n\r\n", -EPROTO },
    { "two words", "GET /\r\n\r\n", -EPROTO },
    { "leading space", " GET / HTTP/1.1\r\n\r\n", -EPROTO },
    { "no name", "GET / HTTP/1.1\r\n: b\r\n\r\n", -EPROTO },
    { "folded", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", -EPROTO },
    { "space before the colon", "GET / HTTP/1.1\r\nA : b\r\n\r\n", -EPROTO },
    { "no colon", "GET / HTTP/1.1\r\nA b\r\n\r\n", -EPROTO },
};

Test(http_head, strict_about_what_it_takes)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(heads); i++) {
        SC_AUTO(free) char *text = strdup(heads[i].text);
        struct http_head h;
        long want = heads[i].want == -2 ? (long)strlen(text) : heads[i].want;
        cr_expect_eq(http_head_parse(text, strlen(text), &h), want, "case '%s'",
                     heads[i].name);
    }
}

Test(http_head, headers_are_found_in_any_case)
{
    char text[] = "GET /a?b HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, "
                  "Upgrade\r\nX:\t y \t\r\n\r\nbody";
    struct http_head h;
    long n = http_head_parse(text, sizeof text - 1, &h);
    cr_assert_eq(n, (long)sizeof text - 1 - 4);
    cr_expect_str_eq(h.first, "GET");
    cr_expect_str_eq(h.second, "/a?b");
    cr_expect_str_eq(h.third, "HTTP/1.1");
    cr_expect_str_eq(http_head_get(&h, "hOST"), "x");
    cr_expect_str_eq(http_head_get(&h, "x"), "y");
    cr_expect_null(http_head_get(&h, "none"));
    cr_expect(http_head_has_token(&h, "connection", "upgrade"));
    cr_expect_not(http_head_has_token(&h, "connection", "up"));
    cr_expect_str_eq(text + n, "body");
}

Test(http_head, too_much_is_refused)
{
    SC_AUTO(free) char *text = malloc(2 * HTTP_HEAD_MAX);
    struct http_head h;
    memset(text, 'a', 2 * HTTP_HEAD_MAX);
    cr_expect_eq(http_head_parse(text, HTTP_HEAD_MAX - 1, &h), 0);
    cr_expect_eq(http_head_parse(text, HTTP_HEAD_MAX, &h), -EMSGSIZE);
    int n = sprintf(text, "GET / HTTP/1.1\r\n");
    for (int i = 0; i <= HTTP_HEADERS_MAX; i++)
        n += sprintf(text + n, "A: b\r\n");
    n += sprintf(text + n, "\r\n");
    cr_expect_eq(http_head_parse(text, (size_t)n, &h), -EPROTO);
}

/* web.c against a server of the test's own on the loopback interface, which
 * answers each connection by a script. */
#include "provider/web.h"

#include "script.h"

#include <time.h>

#define OK "HTTP/1.1 200 OK\r\nX-Thing: a b\r\nContent-Length: 2\r\n\r\nhi"
#define STATUS(s) "HTTP/1.1 " s " x\r\nContent-Length: 0\r\n\r\n"

static struct web *new_web(bool (*cancelled)(void *))
{
    struct web *w = NULL;
    struct sc_err err = { 0 };
    struct web_options o = { .retry_ms = 2, .cancelled = cancelled };
    cr_assert_eq(web_new(&o, &w, &err), 0, "%s", err.text);
    return w;
}

static int get(struct web *w, const struct script *s, struct web_request q,
               struct web_answer *ret, struct sc_err *err)
{
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a/b?secret=1", s->port);
    q.url = url;
    if (!q.method)
        q.method = "GET";
    return web_do(w, &q, ret, err);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

Test(web, an_answer_has_its_status_body_and_headers)
{
    struct script s = { .answers = { OK } };
    struct web_answer a = { 0 };
    struct sc_err err = { 0 };
    start(&s);
    SC_AUTO(web_free) struct web *w = new_web(NULL);
    struct web_header h[] = { { "X-One", "1" }, { "X-Empty", "" } };
    cr_assert_eq(get(w, &s,
                     (struct web_request){ .headers = h, .n_headers = 2 }, &a,
                     &err),
                 0, "%s", err.text);
    cr_expect_eq(a.status, 200);
    cr_expect_str_eq(a.body, "hi");
    cr_expect_str_eq(web_answer_header(&a, "x-thing"), "a b");
    cr_expect_null(web_answer_header(&a, "x-other"));
    cr_expect(strstr(s.seen[0], "GET /a/b?secret=1 HTTP/1.1\r\n"));
    cr_expect(strstr(s.seen[0], "X-One: 1\r\n"));
    cr_expect(strstr(s.seen[0], "X-Empty:\r\n"));
    web_answer_clear(&a);
    stop(&s);
}

Test(web, nothing_is_sent_that_the_driver_did_not_ask_for)
{
    struct script s = { .answers = { OK } };
    struct web_answer a = { 0 };
    struct sc_err err = { 0 };
    start(&s);
    SC_AUTO(web_free) struct web *w = new_web(NULL);
    cr_assert_eq(get(w, &s,
                     (struct web_request){
                         .method = "POST", .body = "x=1", .body_size = 3 },
                     &a, &err),
                 0, "%s", err.text);
    cr_expect_null(strcasestr(s.seen[0], "content-type"), "%s", s.seen[0]);
    cr_expect_null(strcasestr(s.seen[0], "expect"));
    cr_expect(strstr(s.seen[0], "\r\n\r\nx=1"));
    web_answer_clear(&a);
    stop(&s);
}

/* Fills in a header that differs at each try. */
static int sign(void *arg, const struct web_request *q, struct web_header *ret,
                size_t max, struct sc_err *err)
{
    char *value;
    (void)q, (void)max, (void)err;
    if (asprintf(&value, "try %d", ++*(int *)arg) < 0)
        return -ENOMEM;
    ret[0] = (struct web_header){ "X-Sign", value };
    return 1;
}

Test(web,
     broken_connections_and_errors_of_the_server_are_tried_again_signed_anew)
{
    struct script s = { .answers = { NULL, STATUS("500"), STATUS("503"),
                                     "HTTP/1.1 200 OK\r\nContent-Length: "
                                     "9\r\n\r\ncut",
                                     OK } };
    struct web_answer a = { 0 };
    struct sc_err err = { 0 };
    int n = 0;
    start(&s);
    SC_AUTO(web_free) struct web *w = new_web(NULL);
    struct web_request q = { .method = "PUT",
                             .body = "whole",
                             .body_size = 5,
                             .sign = sign,
                             .arg = &n };
    cr_assert_eq(get(w, &s, q, &a, &err), 0, "%s", err.text);
    cr_expect_eq(a.status, 200);
    cr_expect_str_eq(a.body, "hi");
    cr_expect_eq(s.n_seen, 5);
    for (size_t i = 0; i < 5; i++) {
        char want[32];
        snprintf(want, sizeof want, "X-Sign: try %zu\r\n", i + 1);
        cr_expect(strstr(s.seen[i], want), "try %zu", i);
        cr_expect(strstr(s.seen[i], "\r\n\r\nwhole"), "try %zu", i);
    }
    web_answer_clear(&a);
    stop(&s);
}

Test(web, an_answer_that_is_not_http_is_a_broken_connection)
{
    struct script s = { .answers = { "the rest of another answer\n\n", OK } };
    struct web_answer a = { 0 };
    struct sc_err err = { 0 };
    start(&s);
    SC_AUTO(web_free) struct web *w = new_web(NULL);
    struct web_request q = { .method = "GET" };
    cr_assert_eq(get(w, &s, q, &a, &err), 0, "%s", err.text);
    cr_expect_str_eq(a.body, "hi");
    cr_expect_eq(s.n_seen, 2);
    web_answer_clear(&a);
    stop(&s);
}

static void expect_wait(const char *refusal, double at_least, double at_most)
{
    struct script s = { .answers = { refusal, OK } };
    struct web_answer a = { 0 };
    struct sc_err err = { 0 };
    start(&s);
    SC_AUTO(web_free) struct web *w = new_web(NULL);
    double before = seconds();
    cr_assert_eq(get(w, &s, (struct web_request){ .once = true }, &a, &err), 0,
                 "%s", err.text);
    double waited = seconds() - before;
    cr_expect_eq(a.status, 200);
    cr_expect(waited >= at_least && waited < at_most, "waited %.2f s", waited);
    web_answer_clear(&a);
    stop(&s);
}

Test(web, retry_after_in_seconds_is_waited_for_even_by_once)
{
    expect_wait("HTTP/1.1 429 x\r\nRetry-After: 1\r\nContent-Length: "
                "0\r\n\r\n",
                1, 20);
}

Test(web, retry_after_as_a_date_is_waited_for)
{
    char text[160], date[64];
    time_t at = time(NULL) + 3;
    struct tm tm;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT",
             gmtime_r(&at, &tm));
    snprintf(text, sizeof text,
             "HTTP/1.1 429 x\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n",
             date);
    expect_wait(text, 1, 20);
}

Test(web, a_pause_longer_than_our_patience_is_not_begun)
{
    struct script s = { .answers = { "HTTP/1.1 429 x\r\nRetry-After: "
                                     "100000\r\nContent-Length: 0\r\n\r\n" } };
    struct web_answer a = { 0 };
    struct sc_err err = { 0 };
    start(&s);
    SC_AUTO(web_free) struct web *w = new_web(NULL);
    cr_assert_eq(get(w, &s, (struct web_request){ 0 }, &a, &err), 0);
    cr_expect_eq(a.status, 429);
    web_answer_clear(&a);
    stop(&s);
}

Test(web, after_the_last_try_the_answer_is_the_result)
{
    struct script s = { 0 };
    struct web_answer a = { 0 };
    struct sc_err err = { 0 };
    for (size_t i = 0; i < WEB_TRIES; i++)
        s.answers[i] = STATUS("502");
    start(&s);
    SC_AUTO(web_free) struct web *w = new_web(NULL);
    cr_assert_eq(get(w, &s, (struct web_request){ 0 }, &a, &err), 0);
    cr_expect_eq(a.status, 502);
    cr_expect_eq(s.n_seen, WEB_TRIES);
    web_answer_clear(&a);
    stop(&s);
}

Test(web, once_is_not_repeated_after_something_reached_the_server)
{
    struct script s = { .answers = { STATUS("500"), NULL, OK } };
    struct web_answer a = { 0 };
    struct sc_err err = { 0 };
    start(&s);
    SC_AUTO(web_free) struct web *w = new_web(NULL);
    struct web_request q = { .method = "POST", .once = true };
    cr_assert_eq(get(w, &s, q, &a, &err), 0);
    cr_expect_eq(a.status, 500);
    web_answer_clear(&a);
    cr_expect_eq(get(w, &s, q, &a, &err), -ECONNRESET);
    cr_expect_null(strstr(err.text, "tried"), "%s", err.text);
    cr_expect_null(strstr(err.text, "secret"), "%s", err.text);
    cr_expect(strstr(err.text, "127.0.0.1"), "%s", err.text);
    cr_assert_eq(get(w, &s, q, &a, &err), 0);
    cr_expect_eq(a.status, 200);
    cr_expect_eq(s.n_seen, 3);
    web_answer_clear(&a);
    stop(&s);
}

Test(web, once_is_repeated_where_nobody_answered)
{
    struct script s = { .answers = { OK } };
    struct web_answer a = { 0 };
    struct sc_err err = { 0 };
    start(&s);
    stop(&s); /* Nobody listens there any more. */
    SC_AUTO(web_free) struct web *w = new_web(NULL);
    cr_expect_eq(get(w, &s, (struct web_request){ .once = true }, &a, &err),
                 -EHOSTUNREACH);
    cr_expect(strstr(err.text, "tried 6 times"), "%s", err.text);
}

static bool says_renew(void *arg, const struct web_answer *a)
{
    ++*(int *)arg;
    return a->status == 401;
}

Test(web, the_driver_can_ask_for_another_try)
{
    struct script s = { .answers = { STATUS("401"), OK } };
    struct web_answer a = { 0 };
    struct sc_err err = { 0 };
    int n = 0;
    start(&s);
    SC_AUTO(web_free) struct web *w = new_web(NULL);
    struct web_request q = { .again = says_renew, .arg = &n, .once = true };
    cr_assert_eq(get(w, &s, q, &a, &err), 0);
    cr_expect_eq(a.status, 200);
    cr_expect_eq(n, 2);
    web_answer_clear(&a);
    stop(&s);
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

Test(web, a_cancelled_request_is_not_tried_again_but_undoing_goes_on)
{
    struct script s = { .answers = { STATUS("500"), STATUS("500"), OK } };
    struct web_answer a = { 0 };
    struct sc_err err = { 0 };
    start(&s);
    SC_AUTO(web_free) struct web *w = new_web(always);
    cr_expect_eq(get(w, &s, (struct web_request){ 0 }, &a, &err), -ECANCELED);
    web_undoing(w, true);
    cr_assert_eq(get(w, &s, (struct web_request){ 0 }, &a, &err), 0);
    cr_expect_eq(a.status, 200);
    web_answer_clear(&a);
    stop(&s);
}

Test(web, a_pause_ends_when_it_is_cancelled_but_not_while_undoing)
{
    struct sc_err err = { 0 };
    SC_AUTO(web_free) struct web *w = new_web(always);
    /* Not cut short, it would outlast the test's own limit of time. */
    cr_expect_eq(web_pause(w, UINT32_MAX, &err), -ECANCELED);
    cr_expect_str_eq(err.text, "cancelled");
    cr_expect_not(web_undoing(w, true));
    cr_expect_eq(web_pause(w, 1, &err), 0);
    cr_expect(web_undoing(w, false));
}

static long read_letters(void *arg, uint64_t at, void *buf, size_t size)
{
    (void)arg;
    size_t n = size < 700 ? size : 700;
    for (size_t i = 0; i < n; i++)
        ((char *)buf)[i] = (char)('a' + (at + i) % 26);
    return (long)n;
}

Test(web, a_large_body_is_read_in_pieces_and_from_its_start_at_each_try)
{
    struct script s = { .answers = { STATUS("503"), OK } };
    struct web_answer a = { 0 };
    struct sc_err err = { 0 };
    char want[3001] = "";
    for (size_t i = 0; i < 3000; i++)
        want[i] = (char)('a' + i % 26);
    start(&s);
    SC_AUTO(web_free) struct web *w = new_web(NULL);
    struct web_request q = { .method = "PUT",
                             .read = read_letters,
                             .read_size = 3000 };
    cr_assert_eq(get(w, &s, q, &a, &err), 0, "%s", err.text);
    cr_expect_eq(s.n_seen, 2);
    for (size_t i = 0; i < 2; i++) {
        char *body = strstr(s.seen[i], "\r\n\r\n");
        cr_assert(body);
        cr_expect_str_eq(body + 4, want, "try %zu", i);
        cr_expect(strstr(s.seen[i], "Content-Length: 3000\r\n"));
    }
    web_answer_clear(&a);
    stop(&s);
}

static long cannot_read(void *arg, uint64_t at, void *buf, size_t size)
{
    (void)arg, (void)at, (void)buf, (void)size;
    return -EISDIR;
}

Test(web, a_body_that_cannot_be_read_is_the_result)
{
    struct script s = { .answers = { OK } };
    struct web_answer a = { 0 };
    struct sc_err err = { 0 };
    start(&s);
    SC_AUTO(web_free) struct web *w = new_web(NULL);
    struct web_request q = { .method = "PUT",
                             .read = cannot_read,
                             .read_size = 5 };
    cr_expect_eq(get(w, &s, q, &a, &err), -EISDIR);
    stop(&s);
}

Test(web, only_the_loopback_range_is_spoken_to_without_tls)
{
    static const char *const refused[] = {
        "http://192.0.2.1/",  "http://127.0.0.1.example/",
        "ftp://127.0.0.1/",   "http://example.com:80/127.0.0.1",
        "file:///etc/passwd", "nonsense"
    };
    SC_AUTO(web_free) struct web *w = new_web(NULL);
    for (size_t i = 0; i < SC_ARRAY_LEN(refused); i++) {
        struct web_answer a = { 0 };
        struct sc_err err = { 0 };
        struct web_request q = { .method = "GET", .url = refused[i] };
        cr_expect_eq(web_do(w, &q, &a, &err), -EINVAL, "%s", refused[i]);
        cr_expect(*err.text);
    }
}

Test(web, a_file_of_authorities_that_is_not_there_is_named)
{
    struct web *w = NULL;
    struct sc_err err = { 0 };
    struct web_options o = { .ca_file = "/nowhere/ca.pem" };
    cr_expect_eq(web_new(&o, &w, &err), -EINVAL);
    cr_expect(strstr(err.text, "/nowhere/ca.pem"), "%s", err.text);
}

Test(web, text_is_escaped_for_urls)
{
    SC_AUTO(free) char *all = web_escape("a/b c~\xc3\xbc+", false);
    SC_AUTO(free) char *path = web_escape("a/b", true);
    cr_expect_str_eq(all, "a%2Fb%20c~%C3%BC%2B");
    cr_expect_str_eq(path, "a/b");
}

Test(web, statuses_have_errors)
{
    cr_expect_eq(web_status_code(403), -EACCES);
    cr_expect_eq(web_status_code(404), -ENOENT);
    cr_expect_eq(web_status_code(429), -EAGAIN);
    cr_expect_eq(web_status_code(418), -EIO);
}

Test(web, a_fault_of_the_network_is_not_for_good)
{
    cr_expect(web_for_good(-EACCES));
    cr_expect(web_for_good(-ECANCELED));
    cr_expect_not(web_for_good(-EHOSTUNREACH));
    cr_expect_not(web_for_good(-ETIMEDOUT));
    cr_expect_not(web_for_good(-ECONNRESET));
}

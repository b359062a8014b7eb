/* When a metadata service is asked, over a clock of numbers. */
#include "node/notice.h"

#include <criterion/criterion.h>

enum { T0 = 1000000, WALL = 2000000 };

static struct notice_watch watch(enum notice_service s)
{
    struct notice_watch w;
    notice_watch_init(&w, s, T0);
    return w;
}

static struct notice_ask next(struct notice_watch *w, uint64_t now)
{
    struct notice_ask q = { 0 };
    cr_assert(notice_watch_next(w, now, &q), "nothing is due at +%d",
              (int)(now - T0));
    return q;
}

static void nothing_due(struct notice_watch *w, uint64_t now)
{
    struct notice_ask q = { 0 };
    cr_expect_not(notice_watch_next(w, now, &q), "%s is due at +%d", q.path,
                  (int)(now - T0));
}

Test(notice_watch, services_by_the_configuration_s_word)
{
    cr_expect_eq(notice_service_of("ec2"), NOTICE_SERVICE_EC2);
    cr_expect_eq(notice_service_of("gce"), NOTICE_SERVICE_GCE);
    cr_expect_eq(notice_service_of("azure"), NOTICE_SERVICE_AZURE);
    cr_expect_eq(notice_service_of("openstack"), NOTICE_SERVICE_NONE);
    cr_expect_eq(notice_service_of("none"), NOTICE_SERVICE_NONE);
}

Test(notice_watch, without_a_service_nothing_is_asked)
{
    struct notice_watch w = watch(NOTICE_SERVICE_NONE);
    nothing_due(&w, T0 + 100000);
    cr_expect_eq(notice_watch_due(&w), UINT64_MAX);
    cr_expect_not(notice_watch_knows(&w));
}

Test(notice_watch, ec2_takes_a_token_and_then_asks_each_source_every_second)
{
    struct notice_watch w = watch(NOTICE_SERVICE_EC2);
    struct notice_ask q = next(&w, T0);
    cr_expect_str_eq(q.method, "PUT");
    cr_expect_str_eq(q.path, "/latest/api/token");
    cr_expect(strstr(q.headers, "ttl-seconds: 21600\r\n"));
    nothing_due(&w, T0 + 10);
    cr_expect_eq(notice_watch_due(&w), UINT64_MAX, "the answer wakes it");
    notice_watch_answer(&w, q.which, 200, "TOKEN==", NULL, T0 + 20, WALL);
    for (unsigned i = 0; i < 3; i++) {
        q = next(&w, T0 + 20);
        cr_expect_eq(q.which, i);
        cr_expect(strstr(q.headers, "token: TOKEN==\r\n"), "%s", q.headers);
        cr_expect_not(notice_watch_knows(&w));
        notice_watch_answer(&w, i, i == 2 ? 200 : 404, "[]", NULL, T0 + 30,
                            WALL);
    }
    cr_expect(notice_watch_knows(&w));
    nothing_due(&w, T0 + 1029);
    cr_expect_eq(notice_watch_due(&w), T0 + 1030);
    next(&w, T0 + 1030);
}

Test(notice_watch, ec2_renews_its_token_in_time_and_when_it_is_refused)
{
    struct notice_watch w = watch(NOTICE_SERVICE_EC2);
    struct notice_ask q = next(&w, T0);
    notice_watch_answer(&w, q.which, 200, "ONE", NULL, T0, WALL);
    uint64_t later = T0 + 21600000 - 600000;
    q = next(&w, later);
    cr_expect_eq(q.which, NOTICE_FIRST_STEP);
    notice_watch_answer(&w, q.which, 200, "TWO", NULL, later, WALL);
    q = next(&w, later);
    cr_expect(strstr(q.headers, "TWO"));
    notice_watch_answer(&w, q.which, 401, "", NULL, later, WALL);
    q = next(&w, later);
    cr_expect_eq(q.which, NOTICE_FIRST_STEP, "a new one at once");
    nothing_due(&w, later);
}

Test(notice_watch, a_token_that_would_forge_a_header_is_not_taken)
{
    struct notice_watch w = watch(NOTICE_SERVICE_EC2);
    struct notice_ask q = next(&w, T0);
    notice_watch_answer(&w, q.which, 200, "a\r\nX: y", NULL, T0, WALL);
    nothing_due(&w, T0 + 999);
    cr_expect_eq(next(&w, T0 + 1000).which, NOTICE_FIRST_STEP);
}

Test(notice_watch, gce_waits_for_a_change_from_the_second_time_on)
{
    struct notice_watch w = watch(NOTICE_SERVICE_GCE);
    struct notice_ask a = next(&w, T0), b = next(&w, T0);
    cr_expect_str_eq(a.path, "/computeMetadata/v1/instance/preempted");
    cr_expect_str_eq(a.headers, "Metadata-Flavor: Google\r\n");
    nothing_due(&w, T0);
    notice_watch_answer(&w, a.which, 200, "FALSE", "411261ca6c9e4feb", T0,
                        WALL);
    notice_watch_answer(&w, b.which, 200, "NONE", "aa", T0, WALL);
    a = next(&w, notice_watch_due(&w));
    cr_expect(strstr(a.path, "?wait_for_change=true&"
                             "last_etag=411261ca6c9e4feb&timeout_sec=60"),
              "%s", a.path);
    cr_expect_gt(a.timeout_ms, 60000);
    notice_watch_answer(&w, a.which, 200, "TRUE", "bb", T0 + 500, WALL);
    cr_expect_eq(notice_watch_worst(&w)->kind, NOTICE_REVOCATION);
    cr_expect_eq(notice_watch_worst(&w)->at, WALL + 30000);
    a = next(&w, T0 + 600);
    notice_watch_answer(&w, a.which, 200, "TRUE", "bb", T0 + 900, WALL + 400);
    cr_expect_eq(notice_watch_worst(&w)->at, WALL + 30000, "does not move");
}

Test(notice_watch, an_etag_that_would_forge_a_request_is_not_used)
{
    struct notice_watch w = watch(NOTICE_SERVICE_GCE);
    struct notice_ask a = next(&w, T0);
    notice_watch_answer(&w, a.which, 200, "FALSE", "x&alt=json", T0, WALL);
    next(&w, T0);
    a = next(&w, T0 + 1000);
    cr_expect_null(strstr(a.path, "wait"), "%s", a.path);
}

Test(notice_watch, azure_asks_its_name_once_and_for_the_list_meanwhile)
{
    struct notice_watch w = watch(NOTICE_SERVICE_AZURE);
    struct notice_ask a = next(&w, T0), b = next(&w, T0);
    cr_expect_eq(a.which, NOTICE_FIRST_STEP);
    cr_expect(strstr(b.path, "/metadata/scheduledevents?"));
    cr_expect_gt(b.timeout_ms, 120000, "the first switches the service on");
    notice_watch_answer(&w, a.which, 200, "vm-7", NULL, T0, WALL);
    notice_watch_answer(&w, b.which, 200,
                        "{\"Events\": [{\"EventType\": \"Preempt\", "
                        "\"Resources\": [\"vm-8\"]}]}",
                        NULL, T0, WALL);
    cr_expect_eq(notice_watch_worst(&w)->kind, NOTICE_NONE, "not ours");
    b = next(&w, T0 + 1000);
    cr_expect_lt(b.timeout_ms, 10000);
    nothing_due(&w, T0 + 1000);
}

Test(notice_watch, silence_keeps_what_was_said_and_is_asked_less_often)
{
    struct notice_watch w = watch(NOTICE_SERVICE_AZURE);
    uint64_t now = T0;
    struct notice_ask a = next(&w, now), b = next(&w, now);
    notice_watch_answer(&w, a.which, 200, "vm-7", NULL, now, WALL);
    notice_watch_answer(&w, b.which, 200,
                        "{\"Events\": [{\"EventType\": \"Reboot\"}]}", NULL,
                        now, WALL);
    now += 1000;
    static const uint64_t pauses[] = { 1000,  2000,  4000, 8000,
                                       16000, 30000, 30000 };
    for (size_t i = 0; i < SC_ARRAY_LEN(pauses); i++) {
        b = next(&w, now);
        notice_watch_answer(&w, b.which, i % 2 ? 500 : 0, "", NULL, now, WALL);
        cr_expect_eq(notice_watch_due(&w) - now, pauses[i], "failure %zu", i);
        cr_expect_eq(notice_watch_worst(&w)->kind, NOTICE_MAINTENANCE);
        now = notice_watch_due(&w);
    }
    b = next(&w, now);
    notice_watch_answer(&w, b.which, 200, "{\"Events\": []}", NULL, now, WALL);
    cr_expect_eq(notice_watch_worst(&w)->kind, NOTICE_NONE);
    cr_expect_eq(notice_watch_due(&w), now + 1000, "and often again");
}

Test(notice_watch, the_worst_source_speaks)
{
    struct notice_watch w = watch(NOTICE_SERVICE_EC2);
    struct notice_ask q = next(&w, T0);
    notice_watch_answer(&w, q.which, 200, "T", NULL, T0, WALL);
    next(&w, T0), next(&w, T0), next(&w, T0);
    notice_watch_answer(&w, 1, 200, "{\"noticeTime\": \"x\"}", NULL, T0, WALL);
    cr_expect_eq(notice_watch_worst(&w)->kind, NOTICE_REBALANCE);
    notice_watch_answer(&w, 2, 200, "[{\"Code\": \"system-reboot\"}]", NULL, T0,
                        WALL);
    cr_expect_eq(notice_watch_worst(&w)->kind, NOTICE_MAINTENANCE);
    notice_watch_answer(&w, 0, 200, "{\"action\": \"stop\"}", NULL, T0, WALL);
    cr_expect_eq(notice_watch_worst(&w)->kind, NOTICE_REVOCATION);
    cr_expect(notice_watch_knows(&w));
}

/* What each provider's metadata service says, as its documentation shows it. */
#include "node/notice.h"

#include "common/json.h"

#include <criterion/criterion.h>

typedef int read_fn(int status, const char *body, struct notice *ret);

static int azure_of_a(int status, const char *body, struct notice *ret)
{
    return notice_azure(status, body, "a", ret);
}

#define EVENT(code, state, before, text)                                       \
    "{\"NotBefore\": \"" before "\", \"Code\": \"" code                        \
    "\", \"Description\": "                                                    \
    "\"" text "\", \"EventId\": \"instance-event-0d59937288b749b32\", "        \
    "\"NotAfter\": \"21 Jan 2019 09:17:23 GMT\", \"State\": \"" state "\"}"
#define AZURE(type, status, resource, before)                                  \
    "{\"EventId\": \"602d9444\", \"EventStatus\": \"" status                   \
    "\", \"EventType\": \"" type "\", \"ResourceType\": \"VirtualMachine\", "  \
    "\"Resources\": [\"" resource "\"], \"NotBefore\": \"" before              \
    "\", \"Description\": \"Host server is undergoing maintenance\"}"
#define AZURE_LIST(events)                                                     \
    "{\"DocumentIncarnation\": 1, \"Events\": [" events "]}"

static const struct {
    const char *name;
    read_fn *read;
    int status;
    const char *body;
    int want; /* 0: understood. */
    enum notice_kind kind;
    const char *action;
    uint64_t at;
} answers[] = {
    { "no spot action", notice_ec2_spot, 404, "<html>", 0, NOTICE_NONE, "", 0 },
    { "spot: terminate", notice_ec2_spot, 200,
      "{\"action\": \"terminate\", \"time\": \"2017-09-18T08:22:00Z\"}", 0,
      NOTICE_REVOCATION, "terminate", 1505722920000 },
    { "spot: hibernate", notice_ec2_spot, 200, "{\"action\": \"hibernate\"}", 0,
      NOTICE_REVOCATION, "hibernate", 0 },
    { "spot: another action", notice_ec2_spot, 200, "{\"action\": \"dance\"}",
      -EPROTO, 0, NULL, 0 },
    { "spot: cut short", notice_ec2_spot, 200, "{\"action\":", -EPROTO, 0, NULL,
      0 },
    { "spot: the service is unwell", notice_ec2_spot, 503, "", -EPROTO, 0, NULL,
      0 },
    { "no rebalance", notice_ec2_rebalance, 404, "", 0, NOTICE_NONE, "", 0 },
    { "rebalance", notice_ec2_rebalance, 200,
      "{\"noticeTime\": \"2020-10-27T08:22:00Z\"}", 0, NOTICE_REBALANCE, "",
      0 },
    { "rebalance of an unknown form", notice_ec2_rebalance, 200, "[]", -EPROTO,
      0, NULL, 0 },
    { "no events", notice_ec2_events, 200, "[]", 0, NOTICE_NONE, "", 0 },
    { "an event", notice_ec2_events, 200,
      "[" EVENT("system-reboot", "active", "21 Jan 2019 09:00:43 GMT",
                "scheduled reboot") "]",
      0, NOTICE_MAINTENANCE, "reboot", 1548061243000 },
    { "the earlier of two", notice_ec2_events, 200,
      "[" EVENT("instance-stop", "active", "22 Jan 2019 09:00:43 GMT",
                "x") "," EVENT("system-maintenance", "active",
                               "21 Jan 2019 09:00:43 GMT", "y") "]",
      0, NOTICE_MAINTENANCE, "freeze", 1548061243000 },
    { "events that are over", notice_ec2_events, 200,
      "[" EVENT("system-reboot", "completed", "21 Jan 2019 09:00:43 GMT",
                "x") "," EVENT("system-reboot", "active",
                               "21 Jan 2019 09:00:43 GMT",
                               "[Canceled] scheduled reboot") "]",
      0, NOTICE_NONE, "", 0 },
    { "an event of a new kind", notice_ec2_events, 200,
      "[" EVENT("something-new", "active", "21 Jan 2019 09:00:43 GMT", "x") "]",
      0, NOTICE_MAINTENANCE, "", 1548061243000 },
    { "not preempted", notice_gce_preempted, 200, "FALSE", 0, NOTICE_NONE, "",
      0 },
    { "preempted", notice_gce_preempted, 200, "TRUE\n", 0, NOTICE_REVOCATION,
      "terminate", 0 },
    { "preempted?", notice_gce_preempted, 200, "TRUEST", -EPROTO, 0, NULL, 0 },
    { "no maintenance", notice_gce_maintenance, 200, "NONE", 0, NOTICE_NONE, "",
      0 },
    { "a live migration", notice_gce_maintenance, 200,
      "MIGRATE_ON_HOST_MAINTENANCE", 0, NOTICE_MAINTENANCE, "freeze", 0 },
    { "a stop", notice_gce_maintenance, 200, "TERMINATE_ON_HOST_MAINTENANCE", 0,
      NOTICE_MAINTENANCE, "stop", 0 },
    { "maintenance?", notice_gce_maintenance, 404, "", -EPROTO, 0, NULL, 0 },
    { "an empty list", azure_of_a, 200, AZURE_LIST(""), 0, NOTICE_NONE, "", 0 },
    { "Preempt", azure_of_a, 200,
      AZURE_LIST(
          AZURE("Preempt", "Scheduled", "a", "Mon, 19 Sep 2016 18:29:47 GMT")),
      0, NOTICE_REVOCATION, "terminate", 1474309787000 },
    { "Preempt of another machine", azure_of_a, 200,
      AZURE_LIST(AZURE("Preempt", "Scheduled", "b", "")), 0, NOTICE_NONE, "",
      0 },
    { "the fabric's form of the name", azure_of_a, 200,
      AZURE_LIST(AZURE("Reboot", "Scheduled", "_A", "")), 0, NOTICE_MAINTENANCE,
      "reboot", 0 },
    { "the worst of three", azure_of_a, 200,
      AZURE_LIST(AZURE("Freeze", "Scheduled", "a", "") "," AZURE(
          "Terminate", "Started", "a", "") "," AZURE("Redeploy", "Scheduled",
                                                     "a", "")),
      0, NOTICE_REVOCATION, "terminate", 0 },
    { "one that is over", azure_of_a, 200,
      AZURE_LIST(AZURE("Reboot", "Completed", "a", "")), 0, NOTICE_NONE, "",
      0 },
    { "a list that is none", azure_of_a, 200, "{\"Events\": 3}", -EPROTO, 0,
      NULL, 0 },
    { "an event without a type", azure_of_a, 200,
      AZURE_LIST("{\"EventId\": \"x\"}"), -EPROTO, 0, NULL, 0 },
};

Test(notice, every_answer_has_its_meaning)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(answers); i++) {
        struct notice n = { 0 };
        int r = answers[i].read(answers[i].status, answers[i].body, &n);
        cr_expect_eq(r, answers[i].want, "case '%s'", answers[i].name);
        if (r < 0 || answers[i].want)
            continue;
        cr_expect_eq(n.kind, answers[i].kind, "case '%s'", answers[i].name);
        cr_expect_str_eq(n.action, answers[i].action, "case '%s'",
                         answers[i].name);
        cr_expect_eq(n.at, answers[i].at, "case '%s'", answers[i].name);
        cr_expect_eq(n.kind == NOTICE_NONE, n.source[0] == '\0', "case '%s'",
                     answers[i].name);
    }
}

Test(notice, without_a_name_all_of_azure_s_events_count)
{
    struct notice n;
    cr_assert_eq(
        notice_azure(200, AZURE_LIST(AZURE("Preempt", "Scheduled", "b", "")),
                     "", &n),
        0);
    cr_expect_eq(n.kind, NOTICE_REVOCATION);
}

Test(notice, what_outside_says_cannot_break_a_line)
{
    struct notice n;
    cr_assert_eq(notice_ec2_events(200,
                                   "[" EVENT("system-reboot", "active", "",
                                             "a\\nb\\u001bc") "]",
                                   &n),
                 0);
    cr_expect_str_eq(n.text, "system-reboot: a?b?c");
}

Test(notice, times_in_all_three_forms)
{
    cr_expect_eq(notice_time("2017-09-18T08:22:00Z"), 1505722920000);
    cr_expect_eq(notice_time("Mon, 19 Sep 2016 18:29:47 GMT"), 1474309787000);
    cr_expect_eq(notice_time("21 Jan 2019 09:00:43 GMT"), 1548061243000);
    cr_expect_eq(notice_time("tomorrow"), 0);
    cr_expect_eq(notice_time(""), 0);
    cr_expect_eq(notice_time("2017-09-18T08:22:00Z and more"), 0);
}

Test(notice, on_the_wire_it_is_as_in_the_protocol)
{
    struct notice n = { .kind = NOTICE_REVOCATION,
                        .action = "stop",
                        .source = "ec2-spot-action",
                        .at = 5,
                        .text = "x" };
    SC_AUTO(cjson_free) cJSON *o = notice_to_json(&n);
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(o);
    cr_expect_str_eq(text, "{\"kind\":\"revocation\",\"action\":\"stop\","
                           "\"at\":5,\"source\":\"ec2-spot-action\","
                           "\"text\":\"x\"}");
}

/* Tests of daemons/controller/probes.c. */
#include "world.h"

#include "scheduler/place.h"

static void notice(struct world *w, uint16_t nid, const char *text)
{
    SC_AUTO(cjson_free) cJSON *p = cJSON_Parse(text);
    cr_assert(p, "%s", text);
    ctl_node_notice(w->ctl, nid, p);
}

static void probes(struct world *w, uint16_t nid, const char *text)
{
    SC_AUTO(cjson_free) cJSON *p = cJSON_Parse(text);
    cr_assert(p, "%s", text);
    ctl_node_probes(w->ctl, nid, p);
}

static const cJSON *node(struct world *w, const char *name)
{
    cr_assert_eq(world_op(w, "node.show", "{\"id\":\"%s\"}", name), 0);
    return w->op_result;
}

#define REVOKE                                                                 \
    "{\"kind\":\"revocation\",\"action\":\"terminate\",\"at\":1700000120000,"  \
    "\"source\":\"ec2-spot-action\",\"text\":\"spot instance\"}"

Test(probes, a_notice_is_told_at_once_and_survives_a_restart)
{
    SC_AUTO(world_free) struct world *w = world_new();
    notice(w, 2, REVOKE);
    cr_expect_str_eq(w->changed_kind, "node");
    cr_expect_str_eq(wstr(cJSON_GetObjectItem(w->changed, "notice"), "kind"),
                     "revocation");
    world_kill_controller(w);
    world_run(w, 3000);
    const cJSON *n = cJSON_GetObjectItem(node(w, "n2"), "notice");
    cr_expect_str_eq(wstr(n, "action"), "terminate");
    cr_expect_str_eq(wstr(n, "source"), "ec2-spot-action");
    cr_expect(cJSON_IsNumber(cJSON_GetObjectItem(n, "heard_at")));
    notice(w, 2, "{\"kind\":\"none\"}");
    cr_expect(cJSON_IsNull(cJSON_GetObjectItem(node(w, "n2"), "notice")));
}

Test(probes, nothing_new_goes_to_a_node_that_will_be_taken_away)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n1");
    notice(w, 2, REVOKE);
    cr_expect_eq(world_op(w, "vm.create",
                          "{\"name\":\"b\",\"image\":\"img\",\"memory_mib\":"
                          "128,\"node\":\"n2\"}"),
                 -EHOSTUNREACH);
    cr_expect(strstr(w->op_err.text, "take it away"), "%s", w->op_err.text);
    cr_expect_eq(world_op(w, "vm.migrate", "{\"id\":\"a\",\"node\":\"n2\"}"),
                 -EHOSTUNREACH);
    cr_expect(strstr(w->op_err.text, "take it away"), "%s", w->op_err.text);
    notice(w, 2, "{\"kind\":\"maintenance\",\"at\":5}");
    cr_expect_eq(world_op(w, "vm.migrate", "{\"id\":\"a\",\"node\":\"n2\"}"), 0,
                 "maintenance is no reason: %s", w->op_err.text);
}

Test(probes, a_migration_that_was_begun_before_the_notice_is_refused_in_time)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n1");
    world_unlink(w, 1); /* The job waits for its source. */
    cr_assert_eq(world_op(w, "vm.migrate", "{\"id\":\"a\",\"node\":\"n2\"}"),
                 0);
    notice(w, 2, REVOKE);
    world_link(w, 1);
    const struct job *job = world_wait_job(w, 60000);
    cr_expect_eq(job->state, JOB_FAILED);
    cr_expect(strstr(job->error, "take it away"), "%s", job->error);
    cr_expect_eq(world_vm(w, "a")->nid, 1);
}

Test(probes, bad_reports_change_nothing)
{
    static const char *const notices[] = {
        "{}",
        "{\"kind\":\"doom\"}",
        "{\"kind\":5}",
        "{\"kind\":\"revocation\",\"at\":-1}",
        "{\"kind\":\"revocation\",\"action\":7}",
    };
    static const char *const reports[] = {
        "{}",
        "{\"probes\":{}}",
        "{\"probes\":[5]}",
        "{\"probes\":[{\"name\":\"kvm\"}]}",
        "{\"probes\":[{\"name\":\"kvm\",\"ok\":1}]}",
        "{\"at\":\"x\",\"probes\":[]}",
    };
    SC_AUTO(world_free) struct world *w = world_new();
    probes(w, 2, "{\"at\":7,\"probes\":[{\"name\":\"kvm\",\"ok\":true}]}");
    for (size_t i = 0; i < SC_ARRAY_LEN(notices); i++)
        notice(w, 2, notices[i]);
    for (size_t i = 0; i < SC_ARRAY_LEN(reports); i++)
        probes(w, 2, reports[i]);
    notice(w, 77, REVOKE);
    const struct ctl_node *n = ctl_node_by_nid(w->ctl, 2);
    cr_expect_null(n->notice);
    cr_expect_eq(n->probed_at, 7u);
    cr_expect_eq(cJSON_GetArraySize(n->probes), 2, "kvm and reachable");
}

Test(probes, what_hello_brings_is_kept_and_shown)
{
    SC_AUTO(world_free) struct world *w = world_new();
    SC_AUTO(cjson_free)
    cJSON *p = cJSON_Parse(
        "{\"cpus\":2,\"memory_mib\":9,\"memory_free_mib\":9,\"probes\":{"
        "\"at\":11,\"probes\":[{\"name\":\"kvm\",\"ok\":false,\"value\":"
        "\"none\",\"why\":\"slow\"}]}}");
    cJSON *answer = NULL;
    struct sc_err err;
    uint16_t nid;
    cr_assert_eq(
        ctl_hello(w->ctl, PROGRAM_NODE, w->nodes[3].id, p, &nid, &answer, &err),
        0);
    cJSON_Delete(answer);
    const cJSON *n = node(w, "n3");
    const cJSON *probe =
        cJSON_GetArrayItem(cJSON_GetObjectItem(n, "probes"), 0);
    cr_expect_str_eq(wstr(probe, "name"), "kvm");
    cr_expect_str_eq(wstr(probe, "why"), "slow");
    cr_expect_eq(wnum(n, "probed_at"), 11u);
}

static const cJSON *reachable(struct world *w, const char *name)
{
    const cJSON *p;
    cJSON_ArrayForEach(p, cJSON_GetObjectItem(node(w, name), "probes"))
    {
        if (!strcmp(wstr(p, "name"), "reachable"))
            return p;
    }
    return NULL;
}

Test(probes, a_node_is_reached_from_outside_once_an_hour)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_run(w, 3000);
    cr_assert_not_null(reachable(w, "n1"));
    cr_expect(cJSON_IsTrue(cJSON_GetObjectItem(reachable(w, "n1"), "ok")));
    cr_expect(strstr(wstr(reachable(w, "n1"), "value"), "storage 7480"));
    unsigned before = w->n_reached;
    probes(w, 1, "{\"at\":7,\"probes\":[]}");
    cr_expect_not_null(reachable(w, "n1"), "a report does not take it away");
    world_run(w, 1800000);
    cr_expect_eq(w->n_reached, before);
    w->reach_code = -ETIMEDOUT;
    world_run(w, 1900000);
    cr_expect_gt(w->n_reached, before);
    const cJSON *r = reachable(w, "n2");
    cr_expect(cJSON_IsFalse(cJSON_GetObjectItem(r, "ok")));
    cr_expect(strstr(wstr(r, "value"), "timed out"), "%s", wstr(r, "value"));
    cr_expect(strstr(wstr(r, "why"), "firewall"));
    w->reach_code = 0;
    world_run(w, 70000);
    cr_expect(cJSON_IsTrue(cJSON_GetObjectItem(reachable(w, "n2"), "ok")),
              "asked again soon");
}

Test(probes, a_controller_killed_while_it_tries_forgets_the_attempt)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_run(w, 3000);
    ctl_node_by_nid(w->ctl, 1)->reach_at = 0;
    ctl_reach_run(w->ctl);
    world_kill_controller(w);
    world_run(w, 5000);
    cr_expect_not_null(reachable(w, "n1"));
}

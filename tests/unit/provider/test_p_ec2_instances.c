/* p_ec2_instances.c: instances as told, consoles, power off. */
#include "ec2_script.h"

#define INSTANCE(id, state, more)                                              \
    "<R><reservationSet><item><instancesSet><item><instanceId>" id             \
    "</instanceId><instanceState><name>" state "</name></instanceState>" more  \
    "</item></instancesSet></item></reservationSet></R>"

static struct provider_instance only(const char *xml)
{
    struct p_ec2 p = { 0 };
    struct xml *x = NULL;
    struct provider_instance i = { 0 };
    cr_assert_eq(xml_parse(xml, strlen(xml), &x, NULL), 0);
    const struct xml_node *item =
        xml_get(xml_root(x), "reservationSet/item/instancesSet/item");
    cr_assert_eq(ec2_read_instance(&p, "r-1", item, &i), 0);
    xml_free(x);
    return i;
}

static const struct {
    const char *xml;
    enum provider_state state;
} states[] = {
    { INSTANCE("i-1", "pending", ""), PROVIDER_PENDING },
    { INSTANCE("i-1", "running", ""), PROVIDER_RUNNING },
    { INSTANCE("i-1", "stopping", ""), PROVIDER_STOPPED },
    { INSTANCE("i-1", "stopped", ""), PROVIDER_STOPPED },
    { INSTANCE("i-1", "shutting-down", ""), PROVIDER_TERMINATED },
    { INSTANCE("i-1", "terminated", ""), PROVIDER_TERMINATED },
    { INSTANCE("i-1", "of-tomorrow", ""), PROVIDER_PENDING },
};

Test(p_ec2_instances, every_state_is_one_of_ours)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(states); i++) {
        struct provider_instance one = only(states[i].xml);
        cr_expect_eq(one.state, states[i].state, "case %zu", i);
        provider_instance_clear(&one);
    }
}

Test(p_ec2_instances, an_instance_without_a_public_address_has_its_private_one)
{
    struct provider_instance i =
        only(INSTANCE("i-1", "running",
                      "<privateIpAddress>10.0.0.1</privateIpAddress>"
                      "<tagSet><item><key>Name</key><value>n</value></item>"
                      "<item><key>supercloud:token</key><value>t</value></item>"
                      "</tagSet><instanceLifecycle>spot</instanceLifecycle>"));
    cr_expect_str_eq(i.address, "10.0.0.1");
    cr_expect_str_eq(i.name, "n");
    cr_expect_str_eq(i.token, "t");
    cr_expect_str_eq(i.cluster, "");
    cr_expect(i.spot);
    cr_expect_str_eq(i.console, "https://ec2.r-1.amazonaws.com/?Action="
                                "GetConsoleOutput&InstanceId=i-1");
    provider_instance_clear(&i);
}

static const struct {
    const char *name, *output, *text;
    int error;
} consoles[] = {
    { "in lines", "aGVs\nbG8g\r\n d29y\nbGQ=\n", "hello world", 0 },
    { "empty", "", "", 0 },
    { "no base64", "a?b=", NULL, -EPROTO },
    { "cut short", "aGVsb", NULL, -EPROTO },
};

Test(p_ec2_instances, a_console_is_decoded_or_refused)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(consoles); i++) {
        char body[200], *got = NULL;
        snprintf(body, sizeof body, "<R><output>%s</output></R>",
                 consoles[i].output);
        struct script s = { .answers = { answer(200, body) } };
        struct p_ec2 *p = ec2_at(&s);
        struct sc_err err = { 0 };
        cr_expect_eq(provider_console(&p->up, NULL, "i-1", &got, &err),
                     consoles[i].error, "%s: %s", consoles[i].name, err.text);
        if (consoles[i].text)
            cr_expect_str_eq(got, consoles[i].text, "%s", consoles[i].name);
        free(got);
        end(&s, p);
    }
}

Test(p_ec2_instances, a_host_that_cannot_tell_the_latest_is_asked_what_it_kept)
{
    struct script s = { .answers = { refusal(400, "UnsupportedOperation", "no"),
                                     answer(200, "<R><output>aGk=</output>"
                                                 "</R>") } };
    struct p_ec2 *p = ec2_at(&s);
    SC_AUTO(free) char *got = NULL;
    struct sc_err err = { 0 };
    cr_assert_eq(provider_console(&p->up, "r-2", "i-1", &got, &err), 0, "%s",
                 err.text);
    cr_expect_str_eq(got, "hi");
    cr_expect(strstr(s.seen[0], "InstanceId=i-1&Latest=true"), "%s", s.seen[0]);
    cr_expect(strstr(s.seen[1], "InstanceId=i-1") &&
                  !strstr(s.seen[1], "Latest"),
              "%s", s.seen[1]);
    end(&s, p);
}

Test(p_ec2_instances, a_console_that_is_refused_is_not_asked_for_twice)
{
    struct script s = { .answers = {
                            refusal(403, "UnauthorizedOperation", "no"),
                            answer(200, "<R/>") } };
    struct p_ec2 *p = ec2_at(&s);
    char *got = NULL;
    struct sc_err err = { 0 };
    cr_expect_eq(provider_console(&p->up, NULL, "i-1", &got, &err), -EACCES);
    cr_expect(strstr(err.text, "ec2:GetConsoleOutput"), "%s", err.text);
    cr_expect_eq(s.n_seen, 1);
    end(&s, p);
}

Test(p_ec2_instances, a_spot_instance_that_cannot_be_stopped_is_ended_by_fence)
{
    struct script s = { .answers = {
                            answer(200, INSTANCE("i-1", "running", "")),
                            refusal(400, "UnsupportedOperation", "spot"),
                            answer(200, "<R/>"),
                            answer(200, INSTANCE("i-1", "shutting-down", "")),
                            answer(200, INSTANCE("i-1", "terminated", "")) } };
    struct p_ec2 *p = ec2_at(&s);
    struct sc_err err = { 0 };
    cr_expect_eq(ec2_fence(&p->up, NULL, "i-1", &err), 0, "%s", err.text);
    cr_expect(strstr(s.seen[1], "Action=StopInstances") &&
              strstr(s.seen[1], "Force=true"));
    cr_expect(strstr(s.seen[2], "Action=TerminateInstances"));
    cr_expect_eq(s.n_seen, 5, "it is off only when EC2 says so");
    end(&s, p);
}

Test(p_ec2_instances, fence_of_one_that_may_not_be_stopped_fails)
{
    struct script s = { .answers = {
                            answer(200, INSTANCE("i-1", "running", "")),
                            refusal(403, "UnauthorizedOperation", "no") } };
    struct p_ec2 *p = ec2_at(&s);
    struct sc_err err = { 0 };
    cr_expect_eq(ec2_fence(&p->up, NULL, "i-1", &err), -EACCES, "%s", err.text);
    end(&s, p);
}

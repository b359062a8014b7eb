/* p_ec2_launch.c: what is asked for, tokens, and ends before the beginning. */
#include "ec2_script.h"

#define ITEM(state, more)                                                      \
    "<instancesSet><item><instanceId>i-1</"                                    \
    "instanceId><instanceState><name>" state "</name></instanceState>" more    \
    "</item></instancesSet>"
#define RUN(state) "<R>" ITEM(state, "") "</R>"
#define SEEN(state, more)                                                      \
    "<R><reservationSet><item>" ITEM(state, more) "</item></reservationSet></" \
                                                  "R>"
#define ADDRESS "<privateIpAddress>10.0.0.7</privateIpAddress>"

static const struct provider_launch plain = { .name = "node-1",
                                              .image = "ami-1",
                                              .tags = { "c-1", "t-1" } };

/* Enough of "there is none" for what undoing asks. */
static void add_nothing(struct script *s, size_t from)
{
    for (size_t i = from; i < SEEN_MAX - 1; i++)
        s->answers[i] = answer(200, "<R/>");
}

static bool asked(const struct script *s, const char *text)
{
    for (size_t i = 0; i < s->n_seen; i++)
        if (strstr(s->seen[i], text))
            return true;
    return false;
}

Test(p_ec2_launch, what_is_asked_for_is_in_the_form_and_the_rest_is_left_out)
{
    struct script s = { .answers = { answer(200, RUN("pending")),
                                     answer(200, SEEN("pending", "")),
                                     answer(200, SEEN("running", ADDRESS)) } };
    struct p_ec2 *p = ec2_at(&s);
    struct provider_launch l = plain;
    struct provider_instance i = { 0 };
    struct sc_err err = { 0 };
    l.user_data = "#cloud-config\n";
    l.spot = true;
    l.max_price = 0.0625;
    cr_assert_eq(provider_launch(&p->up, &l, &i, &err), 0, "%s", err.text);
    cr_expect_str_eq(i.address, "10.0.0.7");
    static const char *const want[] = {
        "POST /r-1/",
        "Action=RunInstances",
        "ClientToken=t-1&",
        "UserData=I2Nsb3VkLWNvbmZpZwo%3D",
        "SpotOptions.MaxPrice=0.0625",
        "MetadataOptions.HttpTokens=required",
        "InstanceType=m5.large",
        "Value=c-1",
    };
    for (size_t k = 0; k < SC_ARRAY_LEN(want); k++)
        cr_expect(strstr(s.seen[0], want[k]), "%s is not in %s", want[k],
                  s.seen[0]);
    cr_expect_null(strstr(s.seen[0], "KeyName"), "%s", s.seen[0]);
    cr_expect_null(strstr(s.seen[0], "SecurityGroup"), "%s", s.seen[0]);
    cr_expect_null(strstr(s.seen[0], "Nested"), "%s", s.seen[0]);
    provider_instance_clear(&i);
    end(&s, p);
}

Test(p_ec2_launch,
     a_token_that_brings_back_an_ended_instance_is_followed_by_one)
{
    struct script s = { .answers = { answer(200, RUN("terminated")),
                                     answer(200, RUN("pending")),
                                     answer(200, SEEN("running", ADDRESS)) } };
    struct p_ec2 *p = ec2_at(&s);
    struct provider_instance i = { 0 };
    struct sc_err err = { 0 };
    cr_assert_eq(provider_launch(&p->up, &plain, &i, &err), 0, "%s", err.text);
    cr_expect(strstr(s.seen[0], "ClientToken=t-1&"), "%s", s.seen[0]);
    cr_expect(strstr(s.seen[1], "ClientToken=t-1-1&"), "%s", s.seen[1]);
    provider_instance_clear(&i);
    end(&s, p);
}

static const struct {
    const char *reason, *want;
    int error;
} ends[] = {
    { "Server.InsufficientInstanceCapacity", "another zone", -ENOSPC },
    { "Server.SpotMaxPriceTooLow", "another zone", -ENOSPC },
    { "Client.VolumeLimitExceeded", "larger quota", -EDQUOT },
    { "Client.InvalidKmsKeyId", "InvalidKmsKeyId", -EACCES },
    { "Client.InternalError", "InternalError", -EIO },
};

Test(p_ec2_launch, one_that_ends_at_once_is_told_why_and_undone)
{
    for (size_t k = 0; k < SC_ARRAY_LEN(ends); k++) {
        char body[600];
        snprintf(
            body, sizeof body,
            SEEN("terminated", "<stateReason><code>%s</code></stateReason>"),
            ends[k].reason);
        struct script s = { .answers = { answer(200, RUN("pending")),
                                         answer(200, body),
                                         answer(200, body) } };
        add_nothing(&s, 3);
        struct p_ec2 *p = ec2_at(&s);
        struct provider_instance i = { 0 };
        struct sc_err err = { 0 };
        cr_expect_eq(provider_launch(&p->up, &plain, &i, &err), ends[k].error,
                     "%s: %s", ends[k].reason, err.text);
        cr_expect(strstr(err.text, ends[k].reason) &&
                      strstr(err.text, ends[k].want),
                  "%s", err.text);
        cr_expect_null(i.id, "nothing is given of one that failed");
        end(&s, p);
    }
}

Test(p_ec2_launch, after_a_refusal_what_has_the_tags_is_looked_for)
{
    struct script s = { .answers = { refusal(
                            400, "InsufficientInstanceCapacity", "no room") } };
    add_nothing(&s, 1);
    struct p_ec2 *p = ec2_at(&s);
    struct provider_instance i = { 0 };
    struct sc_err err = { 0 };
    cr_expect_eq(provider_launch(&p->up, &plain, &i, &err), -ENOSPC, "%s",
                 err.text);
    cr_expect(strstr(err.text, "no room"), "%s", err.text);
    cr_expect(asked(&s, "Action=DescribeInstances"));
    end(&s, p);
}

Test(p_ec2_launch, an_answer_without_an_instance_is_not_taken)
{
    struct script s = { .answers = { answer(200, "<R><instancesSet/></R>") } };
    add_nothing(&s, 1);
    struct p_ec2 *p = ec2_at(&s);
    struct provider_instance i = { 0 };
    struct sc_err err = { 0 };
    cr_expect_eq(provider_launch(&p->up, &plain, &i, &err), -EPROTO, "%s",
                 err.text);
    end(&s, p);
}

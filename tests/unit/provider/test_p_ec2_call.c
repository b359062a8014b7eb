/* p_ec2_call.c: forms, refusals, what is tried again, pages. */
#include "ec2_script.h"

Test(p_ec2_call, a_form_escapes_values_and_leaves_out_what_is_not_given)
{
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    ec2_add(&f, "a b&c=\xc3\xa4/", "Key.%d", 1);
    ec2_add(&f, NULL, "Nothing");
    ec2_add(&f, "", "Empty");
    ec2_addu(&f, UINT64_MAX, "Max");
    cr_expect_str_eq(f.text, "Key.1=a%20b%26c%3D%C3%A4%2F&Empty=&"
                             "Max=18446744073709551615");
}

Test(p_ec2_call, a_tag_that_is_not_given_leaves_no_gap_in_their_numbers)
{
    static const struct provider_tags tags = { "c-1", "t-1" };
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    ec2_add_tags(&f, 2, "image", NULL, &tags, "00ff");
    cr_expect_null(strstr(f.text, "=Name"), "%s", f.text);
    cr_expect(strstr(f.text, "TagSpecification.2.ResourceType=image"));
    cr_expect(strstr(f.text, "supercloud%3Acluster&"), "%s", f.text);
    cr_expect(strstr(f.text, "Value=c-1") && strstr(f.text, "Value=t-1") &&
              strstr(f.text, "Value=00ff"));
    cr_expect(strstr(f.text, "Tag.1.Key"), "numbers begin at 1: %s", f.text);
}

static const struct {
    const char *text;
    uint64_t ms;
} times[] = {
    { "1970-01-01T00:00:01.000Z", 1000 },
    { "2026-11-27T22:00:00.500Z", 1795816800000 },
    { "2026-02-30", 0 },
    { "yesterday", 0 },
    { "", 0 },
    { "1960-01-01T00:00:00Z", 0 },
};

Test(p_ec2_call, what_is_no_time_is_0)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(times); i++)
        cr_expect_eq(ec2_time(times[i].text), times[i].ms, "%s: %llu",
                     times[i].text,
                     (unsigned long long)ec2_time(times[i].text));
}

Test(p_ec2_call, an_endpoint_is_amazons_unless_the_settings_name_another)
{
    static char with[] = "https://{region}.x/y", without[] = "http://127.0.0.1";
    struct p_ec2 p = { 0 };
    SC_AUTO(free) char *plain = ec2_url(&p, EC2_EC2, "eu-west-1", "/");
    SC_AUTO(free) char *china = ec2_url(&p, EC2_EBS, "cn-north-1", "/s");
    p.endpoint[EC2_EC2] = with;
    SC_AUTO(free) char *marked = ec2_url(&p, EC2_EC2, "r-1", "/");
    p.endpoint[EC2_EC2] = without;
    SC_AUTO(free) char *own = ec2_url(&p, EC2_EC2, "r-1", "/z");
    cr_expect_str_eq(plain, "https://ec2.eu-west-1.amazonaws.com/");
    cr_expect_str_eq(china, "https://ebs.cn-north-1.amazonaws.com.cn/s");
    cr_expect_str_eq(marked, "https://r-1.x/y/");
    cr_expect_str_eq(own, "http://127.0.0.1/z");
}

static const struct {
    int status;
    const char *code, *words;
    int error;
    const char *want; /* In what people read. */
} refusals[] = {
    { 401, "AuthFailure", "no", -EACCES, "access_key_id" },
    { 403, "UnauthorizedOperation", "no", -EACCES, "allow ec2:Do" },
    { 400, "VcpuLimitExceeded", "no", -EDQUOT, "quota" },
    { 400, "InstanceLimitExceeded", "no", -EDQUOT, "quota" },
    { 400, "InsufficientInstanceCapacity", "no", -ENOSPC, "another zone" },
    { 400, "InvalidAMIID.NotFound", "no", -ENOENT, "region" },
    { 400, "InvalidInstanceID.Malformed", "no", -ENOENT, "region" },
    { 400, "InvalidAMIName.Duplicate", "no", -EEXIST, "another name" },
    { 400, "InvalidParameterValue", "no", -EINVAL, "no" },
    { 400, "InvalidParameterValue", "Invalid value 'x' for InstanceType.",
      -ENOENT, "types of this region" },
    { 400, "NobodyKnows", "no", -EINVAL, "NobodyKnows" },
    { 404, "", "", -ENOENT, "HTTP 404" },
};

Test(p_ec2_call, a_refusal_is_told_by_its_code_with_words_request_and_advice)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(refusals); i++) {
        struct script s = { .answers = { refusal(refusals[i].status,
                                                 refusals[i].code,
                                                 refusals[i].words) } };
        struct p_ec2 *p = ec2_at(&s);
        struct sc_err err = { 0 };
        cr_expect_eq(ec2_call(p, EC2_EC2, "r-1", "Do", NULL, NULL, &err),
                     refusals[i].error, "%s: %s", refusals[i].code, err.text);
        cr_expect(strstr(err.text, refusals[i].want), "%s: %s",
                  refusals[i].code, err.text);
        cr_expect(strstr(err.text, "req-1"), "%s", err.text);
        if (*refusals[i].code)
            cr_expect(ec2_refused(p, refusals[i].code));
        end(&s, p);
    }
}

Test(p_ec2_call, a_refusal_that_is_no_xml_is_told_by_its_status)
{
    struct script s = { .answers = { answer(403, "<html><p>no") } };
    struct p_ec2 *p = ec2_at(&s);
    struct sc_err err = { 0 };
    cr_expect_eq(ec2_call(p, EC2_EC2, "r-1", "Do", NULL, NULL, &err), -EACCES);
    cr_expect(strstr(err.text, "HTTP 403"), "%s", err.text);
    cr_expect(strstr(err.text, "without an id"), "%s", err.text);
    end(&s, p);
}

Test(p_ec2_call, the_encoded_part_of_a_refusal_is_not_told)
{
    struct script s = { .answers = { refusal(
                            403, "UnauthorizedOperation",
                            "You are not. Encoded authorization failure "
                            "message: QUJDREVG") } };
    struct p_ec2 *p = ec2_at(&s);
    struct sc_err err = { 0 };
    cr_expect_eq(ec2_call(p, EC2_EC2, "r-1", "Do", NULL, NULL, &err), -EACCES);
    cr_expect(strstr(err.text, "You are not."), "%s", err.text);
    cr_expect_null(strstr(err.text, "QUJD"), "%s", err.text);
    end(&s, p);
}

Test(p_ec2_call, what_is_throttled_with_400_is_tried_again_and_the_rest_is_not)
{
    struct script s = { .answers = { refusal(400, "RequestLimitExceeded", "x"),
                                     refusal(400, "Throttling", "x"),
                                     answer(200, "<DoResponse/>") } };
    struct p_ec2 *p = ec2_at(&s);
    struct sc_err err = { 0 };
    cr_expect_eq(ec2_call(p, EC2_EC2, "r-1", "Do", NULL, NULL, &err), 0, "%s",
                 err.text);
    cr_expect_eq(s.n_seen, 3);
    end(&s, p);
    struct script t = { .answers = { refusal(400, "VcpuLimitExceeded", "x"),
                                     answer(200, "<DoResponse/>") } };
    p = ec2_at(&t);
    cr_expect_eq(ec2_call(p, EC2_EC2, "r-1", "Do", NULL, NULL, &err), -EDQUOT);
    cr_expect_eq(t.n_seen, 1);
    end(&t, p);
}

Test(p_ec2_call, an_answer_that_is_cut_short_is_not_taken)
{
    struct script s = { .answers = { answer(200, "<DoResponse><a>1</a>") } };
    struct p_ec2 *p = ec2_at(&s);
    struct sc_err err = { 0 };
    cr_expect_eq(ec2_call(p, EC2_EC2, "r-1", "Do", NULL, NULL, &err), -EPROTO);
    cr_expect(strstr(err.text, "Do in r-1"), "%s", err.text);
    end(&s, p);
}

static int join(void *arg, const struct xml_node *item)
{
    strcat(arg, xml_text(item, "v")); /* NOLINT: the test's own, short. */
    return !strcmp(xml_text(item, "v"), "stop") ? 7 : 0;
}

Test(p_ec2_call, pages_are_asked_for_with_the_last_ones_token_and_the_same_form)
{
    struct script s = {
        .answers = { answer(200, "<R><set><item><v>a</v></item></set>"
                                 "<nextToken>t+/=</nextToken></R>"),
                     answer(200, "<R><set/><nextToken>u</nextToken></R>"),
                     answer(200, "<R><set><item><v>b</v></item></set>"
                                 "<nextToken/></R>") }
    };
    struct p_ec2 *p = ec2_at(&s);
    struct sc_err err = { 0 };
    char got[64] = "";
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    ec2_add(&f, "5", "MaxResults");
    cr_expect_eq(ec2_each(p, "r-2", "List", &f, "set", join, got, &err), 0,
                 "%s", err.text);
    cr_expect_str_eq(got, "ab");
    cr_expect(strstr(s.seen[0], "POST /r-2/"), "%s", s.seen[0]);
    cr_expect_null(strstr(s.seen[0], "NextToken"));
    cr_expect(strstr(s.seen[1], "MaxResults=5&NextToken=t%2B%2F%3D"), "%s",
              s.seen[1]);
    cr_expect(strstr(s.seen[2], "MaxResults=5&NextToken=u"), "%s", s.seen[2]);
    end(&s, p);
}

Test(p_ec2_call, who_has_found_it_asks_for_no_more_pages)
{
    struct script s = { .answers = { answer(
                            200, "<R><set><item><v>stop</v></item><item><v>x"
                                 "</v></item></set><nextToken>t</nextToken>"
                                 "</R>") } };
    struct p_ec2 *p = ec2_at(&s);
    char got[64] = "";
    cr_expect_eq(ec2_each(p, "r-1", "List", NULL, "set", join, got, NULL), 7);
    cr_expect_str_eq(got, "stop");
    end(&s, p);
}

/* Reasons of the OpenStack driver. */
#include "provider/p_openstack.h"

#include <criterion/criterion.h>

static const struct {
    const char *words;
    long status;
    int code;
} reasons[] = {
    { "Quota exceeded for instances: Requested 1", 403, -EDQUOT },
    { "Quota exceeded for resources: ['floatingip'].", 409, -EDQUOT },
    { "exceeds the quota: the limit", 413, -EDQUOT },
    { "This request was rate-limited by your quota.", 429, -EAGAIN },
    { "No valid host was found.", 500, -ENOSPC },
    { "Policy doesn't allow it", 403, -EACCES },
    { "Instance could not be found", 404, -ENOENT },
    { "Cannot 'stop' instance", 409, -EEXIST },
    { "", 400, -EINVAL },
    { "", 500, -EIO },
};

Test(p_openstack_call, a_reason_is_told_by_words_where_the_status_is_not_enough)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(reasons); i++)
        cr_expect_eq(os_reason(reasons[i].words, reasons[i].status),
                     reasons[i].code, "%s", reasons[i].words);
}

Test(p_openstack_call, every_refusal_says_what_to_do)
{
    cr_expect(strstr(os_advice(-EDQUOT, 403), "quota"));
    cr_expect(strstr(os_advice(-ENOSPC, 500), "another type"));
    cr_expect(strstr(os_advice(-EACCES, 403), "'member'"));
    cr_expect_str_eq(os_advice(-EINVAL, 400), "");
}

Test(p_openstack_call, ids_are_told_from_names)
{
    cr_expect(os_is_id("6d8fd1d3-26ee-4a11-a1bd-97dc3a4145fd"));
    cr_expect(os_is_id("6d8fd1d326ee4a11a1bd97dc3a4145fd"));
    cr_expect_not(os_is_id("inside"));
    cr_expect_not(os_is_id("6d8fd1d3-26ee-4a11-a1bd-97dc3a4145fx"));
}

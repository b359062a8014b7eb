/* Marks and tags of the OpenStack driver. */
#include "provider/p_openstack.h"

#include <criterion/criterion.h>

Test(p_openstack_list, a_mark_is_read_back_and_nothing_else_is)
{
    char mark[OS_MARK_MAX], cluster[64], token[64];
    char longest[64];
    memset(longest, 'a', 63);
    longest[63] = '\0';
    struct provider_tags t = { longest, longest };
    os_mark(&t, mark);
    cr_expect(os_mark_read(mark, cluster, token));
    cr_expect_str_eq(cluster, longest);
    cr_expect_str_eq(token, longest);
    cr_expect_not(os_mark_read("Default security group", cluster, token));
    cr_expect_not(os_mark_read("", cluster, token));
    cr_expect_not(os_mark_read("supercloud cluster=a", cluster, token));
}

Test(p_openstack_list, tags_belong_to_the_cluster_and_the_token)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    os_add_tags(o, &(struct provider_tags){ "c", "t" });
    cr_expect(os_has_tags(o, &(struct provider_tags){ "c", "t" }));
    cr_expect_not(os_has_tags(o, &(struct provider_tags){ "c", "u" }));
    cr_expect_not(os_has_tags(NULL, &(struct provider_tags){ "c", "t" }));
}

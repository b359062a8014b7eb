#include "controller/gc.h"

#include "common/json.h"

#include <criterion/criterion.h>

#define JOB "0f8b3c52-7b7e-4a64-9a55-2f6c9be0a001"
#define DONE "0f8b3c52-7b7e-4a64-9a55-2f6c9be0a002"
#define OLD "0f8b3c52-7b7e-4a64-9a55-2f6c9be0a003"

static const struct gc_image images[] = { { "ami-1", DONE }, { "", "" } };
static const struct gc_instance instances[] = { { "i-1", OLD "-1" } };
static const char *const jobs[] = { JOB };
static const char *const nodes[] = { "alive" };
static const struct gc_known known = { images, 2, instances, 1,
                                       jobs,   1, nodes,     1 };

static const struct {
    const char *what, *kind, *id, *name, *token;
    bool goes;
} cases[] = {
    { "an image of ours", "image", "ami-1", "", DONE, false },
    { "its snapshot", "snapshot", "snap-1", "", DONE, false },
    { "the object it was made from", "object", "o", "", DONE, true },
    { "the disk it was made from", "disk", "d", "", DONE, true },
    { "an image nobody knows", "image", "ami-2", "", OLD, true },
    { "an instance by its id", "instance", "i-1", "", "", false },
    { "an instance by its token", "instance", "i-x", "", OLD "-1", false },
    { "what is the instance's", "nic", "n-1", "", OLD "-1", false },
    { "its sister that failed", "nic", "n-2", "", OLD "-2", true },
    { "an instance of a node that is up", "instance", "i-9", "alive", "t",
      false },
    { "a disk with a node's name", "disk", "d-9", "alive", "t", true },
    { "what a running job makes", "instance", "i-5", "", JOB "-12", false },
    { "what a running job makes", "object", "o-5", "", JOB, false },
    { "a token that only begins alike", "disk", "d-7", "", JOB "x", true },
    { "a token shorter than a job's id", "disk", "d-8", "", "0f8b", true },
    { "an image without a token", "image", "ami-3", "", "", true },
    { "a record without an id is no match", "instance", "", "", "z", true },
    { "what all share", "security-group", "sg", "", "", false },
    { "an unknown kind", "gizmo", "g", "", "t", true },
};

static cJSON *resource(size_t i)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "kind", cases[i].kind);
    cJSON_AddStringToObject(j, "id", cases[i].id);
    cJSON_AddStringToObject(j, "name", cases[i].name);
    cJSON_AddStringToObject(j, "token", cases[i].token);
    return j;
}

Test(gc, what_is_needed_stays_and_all_else_goes)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        SC_AUTO(cjson_free) cJSON *r = resource(i);
        const char *why = gc_why(&known, r);
        cr_expect_eq(why != NULL, cases[i].goes, "%s (%s): %s", cases[i].what,
                     cases[i].kind, why ? why : "stays");
    }
}

Test(gc, what_all_share_goes_when_nothing_is_left)
{
    const struct gc_known none = { 0 };
    SC_AUTO(cjson_free)
    cJSON *r = cJSON_Parse("{\"kind\":\"security-group\",\"id\":\"s\"}");
    cr_expect_not_null(gc_why(&none, r));
}

Test(gc, users_are_removed_before_what_they_use)
{
    const struct gc_known none = { 0 };
    SC_AUTO(cjson_free)
    cJSON *all = cJSON_Parse(
        "[{\"kind\":\"bucket\",\"id\":\"5\"},{\"kind\":\"snapshot\",\"id\":"
        "\"3\"},{\"kind\":\"image\",\"id\":\"2\"},{\"kind\":\"security-group\","
        "\"id\":\"4\"},{\"kind\":\"nic\",\"id\":\"1\"},{\"kind\":\"instance\","
        "\"id\":\"0\"}]");
    SC_AUTO(cjson_free) cJSON *list = gc_decide(&none, all);
    cr_assert_eq(cJSON_GetArraySize(list), 6);
    for (int i = 0; i < 6; i++) {
        const cJSON *r = cJSON_GetArrayItem(list, i);
        char id[2] = { (char)('0' + i), 0 };
        cr_expect_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(r, "id")),
                         id);
        cr_expect_not_null(cJSON_GetObjectItem(r, "why"));
    }
}

Test(gc, an_image_that_was_there_already_keeps_the_snapshot_of_its_first_making)
{
    SC_AUTO(cjson_free)
    cJSON *all = cJSON_Parse(
        "[{\"kind\":\"snapshot\",\"id\":\"s\",\"token\":\"" OLD
        "\"},{\"kind\":\"image\",\"id\":\"ami-1\",\"token\":\"" OLD
        "\"},{\"kind\":\"snapshot\",\"id\":\"t\",\"token\":\"other\"}]");
    SC_AUTO(cjson_free) cJSON *list = gc_decide(&known, all);
    cr_assert_eq(cJSON_GetArraySize(list), 1);
    cr_expect_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(
                         cJSON_GetArrayItem(list, 0), "id")),
                     "t");
}

Test(gc, what_is_no_list_of_resources_gives_nothing)
{
    SC_AUTO(cjson_free) cJSON *odd = cJSON_Parse("{\"a\":1}");
    SC_AUTO(cjson_free) cJSON *a = gc_decide(&known, NULL);
    cr_expect_eq(cJSON_GetArraySize(a), 0);
    gc_sort(NULL);
    gc_sort(odd);
}

/* p_openstack_launch.c: which flavor and image are taken, and what is refused
 * before anything is made; services that answer by a script. */
#include "common/json.h"
#include "provider/p_openstack.h"

#include "script.h"

static char *answer(int status, const char *headers, const char *body)
{
    char *text = NULL;
    cr_assert(asprintf(&text,
                       "HTTP/1.1 %d x\r\n%sContent-Length: %zu\r\n"
                       "Connection: close\r\n\r\n%s",
                       status, headers, strlen(body), body) > 0);
    return text;
}

/* The cloud is 's', whose first answer becomes the login's. */
static struct openstack *cloud_at(struct script *s)
{
    char text[800];
    s->answers[0] = "";
    start(s);
    snprintf(text, sizeof text,
             "{\"token\": {\"user\": {\"name\": \"u\"}, \"project\": {\"id\": "
             "\"p\", \"name\": \"w\"}, \"expires_at\": \"2999-01-01T00:00:00Z\""
             ", \"catalog\": [{\"type\": \"compute\", \"endpoints\": "
             "[{\"interface\": \"public\", \"region_id\": \"R1\", \"url\": "
             "\"http://127.0.0.1:%u/c\"}]}, {\"type\": \"image\", "
             "\"endpoints\": [{\"interface\": \"public\", \"region_id\": "
             "\"R1\", \"url\": \"http://127.0.0.1:%u/v2\"}]}]}}",
             s->port, s->port);
    s->answers[0] = answer(201, "X-Subject-Token: t\r\n", text);
    snprintf(text, sizeof text,
             "{\"auth_url\": \"http://127.0.0.1:%u/v3\", \"username\": \"u\", "
             "\"password\": \"p\", \"project_name\": \"w\", \"region\": "
             "\"R1\"}",
             s->port);
    SC_AUTO(cjson_free) cJSON *config = cJSON_Parse(text);
    struct provider *p = NULL;
    struct sc_err err = { 0 };
    cr_assert_eq(provider_open("openstack", config, NULL, &p, &err), 0, "%s",
                 err.text);
    return (struct openstack *)p;
}

static void end(struct script *s, struct openstack *o)
{
    provider_close(&o->up);
    stop(s);
    for (size_t i = 0; i < s->n_answers; i++)
        free((char *)s->answers[i]);
}

#define IMAGE(id, status)                                                      \
    "{\"id\": \"" id "\", \"status\": \"" status "\", \"min_disk\": 20}"
#define IMAGES(list) answer(200, "", "{\"images\": [" list "]}")
#define FLAVOR(id, name, vcpus, ram, disk)                                     \
    "{\"id\": \"" id "\", \"name\": \"" name "\", \"vcpus\": " vcpus           \
    ", \"ram\": " ram ", \"disk\": " disk "}"
/* The smallest is too small; of the next two one has no room for the image. */
#define FLAVORS                                                                \
    answer(                                                                    \
        200, "",                                                               \
        "{\"flavors\": [" FLAVOR("f-1", "tiny", "1", "512", "40") "," FLAVOR(  \
            "f-9", "huge", "8", "65536",                                       \
            "80") "," FLAVOR("f-2", "narrow", "2", "4096",                     \
                             "10") "," FLAVOR("f-3", "fits", "2", "8192",      \
                                              "40") "]}")
#define SERVERS(list) answer(200, "", "{\"servers\": [" list "]}")

static const struct provider_launch plain = { .name = "node-1",
                                              .region = "R1",
                                              .image = "appliance",
                                              .tags = { "c-1", "t-1" } };

static int launch(struct openstack *o, const struct provider_launch *l,
                  struct sc_err *err)
{
    struct provider_instance i = { 0 };
    int r = provider_launch(&o->up, l, &i, err);
    provider_instance_clear(&i);
    return r;
}

Test(p_openstack_launch, the_smallest_flavor_with_room_for_the_image_is_taken)
{
    struct script s = {
        .answers = { "", IMAGES(IMAGE("i-1", "active")), FLAVORS, SERVERS(""),
                     SERVERS(""),
                     answer(403, "",
                            "{\"forbidden\": {\"code\": 403, \"message\": "
                            "\"Quota exceeded for cores\"}}"),
                     SERVERS("") }
    };
    struct openstack *o = cloud_at(&s);
    struct sc_err err = { 0 };
    cr_expect_eq(launch(o, &plain, &err), -EDQUOT, "%s", err.text);
    cr_expect(strstr(err.text, "Quota exceeded for cores"), "%s", err.text);
    cr_expect_eq(s.n_seen, 7, "%zu", s.n_seen);
    cr_expect(strstr(s.seen[5], "POST /c/servers ") &&
                  strstr(s.seen[5], "\"flavorRef\":\"f-3\"") &&
                  strstr(s.seen[5], "\"supercloud_token\":\"t-1\""),
              "%s", s.seen[5]);
    cr_expect(strstr(s.seen[6], "GET /c/servers/detail?name=node-1"),
              "what the refused one may have left is looked for: %s",
              s.seen[6]);
    end(&s, o);
}

Test(p_openstack_launch, a_flavor_that_is_not_there_is_told_with_those_that_are)
{
    struct script s = { .answers = { "", IMAGES(IMAGE("i-1", "active")),
                                     FLAVORS } };
    struct openstack *o = cloud_at(&s);
    struct provider_launch l = plain;
    struct sc_err err = { 0 };
    l.type = "gigantic";
    cr_expect_eq(launch(o, &l, &err), -ENOENT, "%s", err.text);
    cr_expect(strstr(err.text, "'gigantic'") &&
                  strstr(err.text, "tiny, huge, narrow, fits"),
              "%s", err.text);
    end(&s, o);
}

Test(p_openstack_launch, a_name_that_anothers_server_has_is_refused)
{
    struct script s = { .answers = {
                            "", IMAGES(IMAGE("i-1", "active")), FLAVORS,
                            SERVERS("{\"id\": \"s-1\", \"name\": \"node-10\"}, "
                                    "{\"id\": \"s-2\", \"name\": \"node-1\", "
                                    "\"status\": \"ACTIVE\", \"metadata\": "
                                    "{\"supercloud_cluster\": \"c-1\", "
                                    "\"supercloud_token\": \"t-2\"}}") } };
    struct openstack *o = cloud_at(&s);
    struct sc_err err = { 0 };
    cr_expect_eq(launch(o, &plain, &err), -EEXIST, "%s", err.text);
    cr_expect(strstr(err.text, "another name"), "%s", err.text);
    cr_expect_eq(s.n_seen, 4, "nothing is made, nothing is undone");
    end(&s, o);
}

static const struct {
    const char *list;
    int error;
    const char *want;
} images[] = {
    { "", -ENOENT, "no such image" },
    { IMAGE("i-1", "queued"), -ENOENT, "not active" },
    { IMAGE("i-1", "active") ", " IMAGE("i-2", "active"), -EINVAL, "2 images" },
};

Test(p_openstack_launch, an_image_must_be_active_and_the_only_one_of_its_name)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(images); i++) {
        char body[300];
        snprintf(body, sizeof body, "{\"images\": [%s]}", images[i].list);
        struct script s = { .answers = { "", answer(200, "", body) } };
        struct openstack *o = cloud_at(&s);
        struct sc_err err = { 0 };
        cr_expect_eq(launch(o, &plain, &err), images[i].error, "%zu: %s", i,
                     err.text);
        cr_expect(strstr(err.text, images[i].want), "%zu: %s", i, err.text);
        end(&s, o);
    }
}

Test(p_openstack_launch, what_the_cloud_has_not_is_refused_without_asking_it)
{
    struct script s = { .answers = { "" } };
    struct openstack *o = cloud_at(&s);
    struct provider_launch l = plain;
    struct sc_err err = { 0 };
    l.spot = true;
    cr_expect_eq(launch(o, &l, &err), -ENOTSUP, "%s", err.text);
    SC_AUTO(cjson_free) cJSON *options = cJSON_Parse("{\"colour\": \"red\"}");
    l.spot = false;
    l.options = options;
    cr_expect_eq(launch(o, &l, &err), -EINVAL, "%s", err.text);
    cr_expect(strstr(err.text, "colour"), "%s", err.text);
    cr_expect_eq(s.n_seen, 0);
    end(&s, o);
}

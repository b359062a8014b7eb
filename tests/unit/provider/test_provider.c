/* The checks that provider.c makes for every driver, on the local one. */
#include "provider/provider-class.h"

#include "common/json.h"

#include <criterion/criterion.h>

static struct provider *open_local(void)
{
    struct sc_err err = { 0 };
    struct provider *p = NULL;
    SC_AUTO(cjson_free) cJSON *config = cJSON_Parse("{\"dir\": \"/tmp\"}");
    cr_assert_eq(provider_open("local", config, NULL, &p, &err), 0, "%s",
                 err.text);
    return p;
}

Test(provider, every_driver_says_what_it_is_and_takes)
{
    const struct provider_class *c;
    size_t n = 0;
    for (; (c = provider_class_at(n)); n++) {
        cr_expect_eq(provider_class_find(c->name), c);
        cr_expect(c->about && *c->about && c->fields && c->image_format &&
                      c->permissions && *c->permissions,
                  "%s", c->name);
        cr_expect(c->open && c->close && c->check && c->regions && c->publish &&
                      c->launch && c->list && c->terminate && c->fence &&
                      c->types && c->leftovers && c->remove,
                  "%s lacks a call", c->name);
        for (const struct provider_field *f = c->fields; f->name; f++)
            cr_expect(f->about && *f->about, "%s: %s", c->name, f->name);
    }
    cr_expect(n >= 1);
    cr_expect_null(provider_class_find("moon"));
}

static const struct {
    const char *name, *config, *want;
} bad_configs[] = {
    { "a required field is missing", "{}", "'dir' is missing" },
    { "a required field is empty", "{\"dir\": \"\"}", "'dir' is missing" },
    { "an unknown field", "{\"dir\": \"/tmp\", \"door\": 1}", "'door'" },
    { "not an object", "[]", "must be an object" },
};

Test(provider, wrong_settings_are_named)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(bad_configs); i++) {
        struct sc_err err = { 0 };
        struct provider *p = NULL;
        SC_AUTO(cjson_free) cJSON *c = cJSON_Parse(bad_configs[i].config);
        cr_expect_eq(provider_open("local", c, NULL, &p, &err), -EINVAL,
                     "case '%s'", bad_configs[i].name);
        cr_expect(strstr(err.text, bad_configs[i].want), "case '%s': %s",
                  bad_configs[i].name, err.text);
    }
}

static const struct provider_rule bad_cidr = { "tcp", 1, 2, "10.0.0.0" };
static const struct provider_rule bad_bits = { "tcp", 1, 2, "10.0.0.0/33" };
static const struct provider_rule bad_tail = { "tcp", 1, 2, "10.0.0.0/8x" };
static const struct provider_rule bad_ports = { "udp", 9, 2, "::/0" };
static const struct provider_rule bad_protocol = { "gre", 1, 2, "::/0" };
static const struct {
    const char *name;
    struct provider_launch l;
    const char *want;
} bad_launches[] = {
    { "no name", { .image = "i", .tags = { "c", "t" } }, "name" },
    { "a name with a space",
      { .name = "a b", .image = "i", .tags = { "c", "t" } },
      "name" },
    { "no cluster",
      { .name = "a", .image = "i", .tags = { NULL, "t" } },
      "cluster" },
    { "a token with capitals",
      { .name = "a", .image = "i", .tags = { "c", "T" } },
      "token" },
    { "no image", { .name = "a", .tags = { "c", "t" } }, "image" },
    { "an empty type",
      { .name = "a", .image = "i", .type = "", .tags = { "c", "t" } },
      "type" },
    { "a price without spot",
      { .name = "a", .image = "i", .max_price = 1, .tags = { "c", "t" } },
      "max_price" },
    { "a cidr without bits",
      { .name = "a",
        .image = "i",
        .tags = { "c", "t" },
        .n_rules = 1,
        .rules = &bad_cidr },
      "cidr" },
    { "too many bits",
      { .name = "a",
        .image = "i",
        .tags = { "c", "t" },
        .n_rules = 1,
        .rules = &bad_bits },
      "cidr" },
    { "more after the bits",
      { .name = "a",
        .image = "i",
        .tags = { "c", "t" },
        .n_rules = 1,
        .rules = &bad_tail },
      "cidr" },
    { "ports the wrong way round",
      { .name = "a",
        .image = "i",
        .tags = { "c", "t" },
        .n_rules = 1,
        .rules = &bad_ports },
      "ports" },
    { "an unknown protocol",
      { .name = "a",
        .image = "i",
        .tags = { "c", "t" },
        .n_rules = 1,
        .rules = &bad_protocol },
      "protocol" },
};

Test(provider, a_wrong_launch_is_refused_before_the_driver_sees_it)
{
    SC_AUTO(provider_close) struct provider *p = open_local();
    for (size_t i = 0; i < SC_ARRAY_LEN(bad_launches); i++) {
        struct provider_instance got = { 0 };
        struct sc_err err = { 0 };
        cr_expect_eq(provider_launch(p, &bad_launches[i].l, &got, &err),
                     -EINVAL, "case '%s'", bad_launches[i].name);
        cr_expect(strstr(err.text, bad_launches[i].want), "case '%s': %s",
                  bad_launches[i].name, err.text);
    }
}

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

Test(provider, a_wrong_publish_is_refused)
{
    SC_AUTO(provider_close) struct provider *p = open_local();
    struct provider_publish good = { .name = "a",
                                     .file = "/etc/passwd",
                                     .format = "raw",
                                     .sha256 = SHA,
                                     .tags = { "c", "t" } };
    struct provider_image i = { 0 };
    struct sc_err err = { 0 };
    cr_expect_eq(provider_publish(p, &good, &i, &err), 0, "%s", err.text);
    provider_image_clear(&i);
    struct provider_publish bad = good;
    bad.file = "/nowhere";
    cr_expect_eq(provider_publish(p, &bad, &i, &err), -ENOENT);
    cr_expect(strstr(err.text, "/nowhere"));
    bad = good;
    bad.sha256 = "12";
    cr_expect_eq(provider_publish(p, &bad, &i, &err), -EINVAL);
    bad = good;
    bad.boot = "floppy";
    cr_expect_eq(provider_publish(p, &bad, &i, &err), -EINVAL);
    cr_expect(strstr(err.text, "floppy"));
}

Test(provider, ids_are_printable)
{
    SC_AUTO(provider_close) struct provider *p = open_local();
    struct sc_err err = { 0 };
    cr_expect_eq(provider_fence(p, NULL, "a\nb", &err), -EINVAL);
    cr_expect_eq(provider_terminate(p, NULL, "", &err), -EINVAL);
    cr_expect_eq(provider_remove(p, "", NULL, "a", &err), -EINVAL);
}

static void count(void *arg, const char *stage, uint64_t done, uint64_t total)
{
    *(uint64_t *)arg += done + total + strlen(stage);
}

Test(provider, hooks_are_called_and_may_all_be_absent)
{
    struct provider none = { 0 };
    uint64_t n = 0;
    struct provider some = { .hooks = { .progress = count, .arg = &n } };
    provider_progress(&none, "x", 1, 2);
    provider_save(&none, NULL);
    cr_expect_not(provider_cancelled(&none));
    provider_progress(&some, "x", 1, 2);
    cr_expect_eq(n, 4);
}

/* A provider whose console is what the test says. */
struct said {
    struct provider up;
    const char *text;
    size_t size;
};

static int say(struct provider *up, const char *region, const char *id,
               char **ret, size_t *ret_size, struct sc_err *err)
{
    const struct said *s = (const struct said *)up;
    (void)region, (void)id, (void)err;
    *ret = malloc(s->size + 1);
    cr_assert(*ret);
    memcpy(*ret, s->text, s->size);
    *ret_size = s->size;
    return 0;
}

static char *console_of(const char *text, size_t size)
{
    static const struct provider_class class = { .name = "said",
                                                 .console = say };
    struct said s = { { .class = &class }, text, size };
    char *got = NULL;
    cr_assert_eq(provider_console(&s.up, NULL, "i-1", &got, NULL), 0);
    return got;
}

Test(provider, of_a_console_the_newest_whole_lines_are_kept)
{
    enum { MAX = PROVIDER_CONSOLE_MAX, SIZE = MAX + 10 };
    static char log[SIZE + 1];
    memset(log, 'a', SIZE);
    SC_AUTO(free) char *one_line = console_of(log, SIZE);
    cr_expect_eq(strlen(one_line), MAX);
    log[9] = '\n'; /* The last byte that is cut off: all after it is kept. */
    SC_AUTO(free) char *exact = console_of(log, SIZE);
    cr_expect_eq(strlen(exact), MAX);
    log[12] = '\n';
    log[9] = 'a';
    SC_AUTO(free) char *later = console_of(log, SIZE);
    cr_expect_eq(strlen(later), SIZE - 13);
    log[12] = 'a';
    log[SIZE - 1] = '\n'; /* One line, longer than the limit. */
    SC_AUTO(free) char *only = console_of(log, SIZE);
    cr_expect_eq(strlen(only), MAX);
    memcpy(log, "half\nwhole\n", 11); /* Cut by the provider at our limit. */
    SC_AUTO(free) char *half = console_of(log, MAX);
    cr_expect_eq(strlen(half), MAX - 5);
    SC_AUTO(free) char *nul = console_of("a\0b\n", 4);
    cr_expect_str_eq(nul, "a?b\n");
    SC_AUTO(free) char *none = console_of("", 0);
    cr_expect_str_eq(none, "");
}

Test(provider, a_driver_without_consoles_says_so)
{
    static const struct provider_class class = { .name = "mute" };
    struct provider p = { .class = &class };
    struct sc_err err = { 0 };
    char *got = NULL;
    cr_expect_eq(provider_console(&p, NULL, "i-1", &got, &err), -ENOTSUP);
    cr_expect(strstr(err.text, "mute") && strstr(err.text, "console"), "%s",
              err.text);
    cr_expect_null(got);
}

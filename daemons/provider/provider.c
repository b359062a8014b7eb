/* provider - see provider.h: finds the driver, checks what no driver should
 * have to, and says plainly what a driver lacks. */
#include "provider/provider-class.h"

#include "common/json.h"

#include <arpa/inet.h>
#include <ctype.h>

static const struct provider_class *const classes[] = {
    &p_local_class, &p_ec2_class,       &p_gce_class,
    &p_azure_class, &p_openstack_class, &p_rackspace_classic_class,
};

const struct provider_class *provider_class_at(size_t i)
{
    return i < SC_ARRAY_LEN(classes) ? classes[i] : NULL;
}

const struct provider_class *provider_class_find(const char *name)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(classes); i++)
        if (!strcmp(classes[i]->name, name))
            return classes[i];
    return NULL;
}

const char *provider_state_name(enum provider_state s)
{
    static const char *const names[] = {
#define S(id, text) [PROVIDER_##id] = text,
        PROVIDER_STATES(S)
#undef S
    };
    return s < PROVIDER_N_STATES ? names[s] : "?";
}

void provider_instance_clear(struct provider_instance *i)
{
    free(i->id);
    free(i->name);
    free(i->region);
    free(i->zone);
    free(i->type);
    free(i->image);
    free(i->address);
    free(i->private_address);
    free(i->console);
    free(i->cluster);
    free(i->token);
    *i = (struct provider_instance){ 0 };
}

void provider_type_clear(struct provider_type *t)
{
    free(t->name);
    *t = (struct provider_type){ 0 };
}

void provider_price_clear(struct provider_price *p)
{
    free(p->type);
    free(p->region);
    free(p->zone);
    free(p->what);
    free(p->unit);
    *p = (struct provider_price){ 0 };
}

void provider_resource_clear(struct provider_resource *r)
{
    free(r->kind);
    free(r->id);
    free(r->name);
    free(r->region);
    free(r->cluster);
    free(r->token);
    free(r->detail);
    *r = (struct provider_resource){ 0 };
}

void provider_image_clear(struct provider_image *i)
{
    free(i->id);
    free(i->name);
    free(i->region);
    *i = (struct provider_image){ 0 };
}

/* The names in 'fields', or of all drivers, in a list for people. */
static void add_name(char *list, size_t size, const char *name)
{
    size_t len = strlen(list);
    snprintf(list + len, size - len, "%s%s", len ? ", " : "", name);
}

static int check_config(const struct provider_class *c, const cJSON *config,
                        struct sc_err *err)
{
    char known[400] = "";
    if (!cJSON_IsObject(config))
        return sc_fail(err, -EINVAL,
                       "provider '%s': the settings must be an "
                       "object",
                       c->name);
    for (const struct provider_field *f = c->fields; f->name; f++) {
        add_name(known, sizeof known, f->name);
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(config, f->name);
        if (f->required && (!v || (cJSON_IsString(v) && !*v->valuestring)))
            return sc_fail(err, -EINVAL, "provider '%s': '%s' is missing: %s",
                           c->name, f->name, f->about);
    }
    for (const cJSON *v = config->child; v; v = v->next) {
        const struct provider_field *f = c->fields;
        while (f->name && strcmp(f->name, v->string) != 0)
            f++;
        if (!f->name)
            return sc_fail(err, -EINVAL,
                           "provider '%s': it has no setting '%.60s'; there "
                           "are: %s",
                           c->name, v->string, known);
    }
    return 0;
}

int provider_open(const char *name, const cJSON *config,
                  const struct provider_hooks *hooks, struct provider **ret,
                  struct sc_err *err)
{
    const struct provider_class *c = provider_class_find(name);
    if (!c) {
        char known[256] = "";
        for (size_t i = 0; i < SC_ARRAY_LEN(classes); i++)
            add_name(known, sizeof known, classes[i]->name);
        return sc_fail(err, -ENOENT, "provider '%.60s': unknown; there are: %s",
                       name, known);
    }
    int r = check_config(c, config, err);
    if (r < 0)
        return r;
    r = c->open(config, ret, err);
    if (r == 0) {
        (*ret)->class = c;
        (*ret)->hooks = hooks ? *hooks : (struct provider_hooks){ 0 };
    }
    return r;
}

void provider_close(struct provider *p)
{
    if (p)
        p->class->close(p);
}

static int lacks(struct provider *p, const char *call, struct sc_err *err)
{
    return sc_fail(err, -ENOTSUP, "provider '%s' has no '%s'", p->class->name,
                   call);
}

/* What every provider's ids, regions and types keep to: printable ASCII; NULL
 * is allowed if 'optional'. */
static int check_word(const char *what, const char *text, bool optional,
                      struct sc_err *err)
{
    if (!text && optional)
        return 0;
    size_t len = text ? strlen(text) : 0;
    bool ok = len > 0 && len < 1024;
    for (size_t i = 0; ok && i < len; i++)
        ok = text[i] >= ' ' && text[i] < 127;
    return ok ? 0
              : sc_fail(err, -EINVAL,
                        "%s: must be 1 to 1023 printable characters", what);
}

/* A name that every provider takes for an instance: a host name's label. */
static int check_name(const char *name, struct sc_err *err)
{
    return name && sc_name_ok(name)
               ? 0
               : sc_fail(err, -EINVAL,
                         "name '%s': must be 1 to 63 letters, digits, '.', "
                         "'_' or '-', and begin with a letter or digit",
                         name ? name : "");
}

static bool tag_ok(const char *text)
{
    size_t len =
        text ? strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") : 0;
    return len > 0 && len < 64 && !text[len];
}

static int check_tags(const struct provider_tags *t, struct sc_err *err)
{
    if (!tag_ok(t->cluster))
        return sc_fail(err, -EINVAL,
                       "cluster '%s': must be 1 to 63 of a-z, 0-9, '-'",
                       t->cluster ? t->cluster : "");
    if (!tag_ok(t->token))
        return sc_fail(err, -EINVAL,
                       "token '%s': must be 1 to 63 of a-z, 0-9, '-'",
                       t->token ? t->token : "");
    return 0;
}

static int check_rule(const struct provider_rule *u, struct sc_err *err)
{
    char address[64] = "";
    unsigned char raw[16];
    const char *slash = u->cidr ? strchr(u->cidr, '/') : NULL;
    char *end = NULL;
    if (slash && (size_t)(slash - u->cidr) < sizeof address)
        memcpy(address, u->cidr, (size_t)(slash - u->cidr));
    bool v6 = inet_pton(AF_INET6, address, raw) == 1;
    unsigned long bits = slash && isdigit((unsigned char)slash[1])
                             ? strtoul(slash + 1, &end, 10)
                             : 999;
    if ((!v6 && inet_pton(AF_INET, address, raw) != 1) ||
        bits > (v6 ? 128UL : 32UL) || *end)
        return sc_fail(err, -EINVAL,
                       "rule: cidr '%s': must be like 192.0.2.0/24",
                       u->cidr ? u->cidr : "");
    const char *protocol = u->protocol ? u->protocol : "";
    if (!strcmp(protocol, "icmp"))
        return 0;
    if (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0)
        return sc_fail(err, -EINVAL,
                       "rule: protocol '%s': must be tcp, udp or icmp",
                       protocol);
    if (u->port_from < 1 || u->port_from > u->port_to || u->port_to > 65535)
        return sc_fail(err, -EINVAL,
                       "rule: ports %u to %u: must be 1 to 65535, the smaller "
                       "first",
                       u->port_from, u->port_to);
    return 0;
}

int provider_check(struct provider *p, char **ret, struct sc_err *err)
{
    return p->class->check ? p->class->check(p, ret, err)
                           : lacks(p, "check", err);
}

int provider_regions(struct provider *p, provider_each_region_fn *fn, void *arg,
                     struct sc_err *err)
{
    return p->class->regions ? p->class->regions(p, fn, arg, err)
                             : lacks(p, "regions", err);
}

static int check_publish(const struct provider *p,
                         const struct provider_publish *q, struct sc_err *err)
{
    int r = check_name(q->name, err);
    if (r == 0)
        r = check_tags(&q->tags, err);
    if (r == 0)
        r = check_word("region", q->region, true, err);
    if (r < 0)
        return r;
    if (!q->file || access(q->file, R_OK) < 0)
        return sc_fail(err, -ENOENT, "file '%s': %s", q->file ? q->file : "",
                       strerror(q->file ? errno : ENOENT));
    if (p->class->image_format && *p->class->image_format &&
        (!q->format || strcmp(q->format, p->class->image_format) != 0))
        return sc_fail(err, -EINVAL,
                       "format '%s': provider '%s' takes '%s'; build the image "
                       "with images/build --provider %s",
                       q->format ? q->format : "", p->class->name,
                       p->class->image_format, p->class->name);
    if (!q->sha256 || strspn(q->sha256, "0123456789abcdef") != 64 ||
        q->sha256[64])
        return sc_fail(err, -EINVAL, "sha256: must be 64 of 0-9, a-f");
    if (q->boot && strcmp(q->boot, "bios") != 0 && strcmp(q->boot, "uefi") != 0)
        return sc_fail(err, -EINVAL, "boot '%s': must be bios or uefi",
                       q->boot);
    return 0;
}

int provider_publish(struct provider *p, const struct provider_publish *q,
                     struct provider_image *ret, struct sc_err *err)
{
    if (!p->class->publish)
        return lacks(p, "publish", err);
    int r = check_publish(p, q, err);
    return r < 0 ? r : p->class->publish(p, q, ret, err);
}

static int check_launch(const struct provider *p,
                        const struct provider_launch *l, struct sc_err *err)
{
    int r = check_name(l->name, err);
    if (r == 0)
        r = check_tags(&l->tags, err);
    if (r == 0)
        r = check_word("region", l->region, true, err);
    if (r == 0)
        r = check_word("zone", l->zone, true, err);
    if (r == 0)
        r = check_word("type", l->type, true, err);
    if (r < 0)
        return r;
    if (!l->image || !*l->image)
        return sc_fail(err, -EINVAL, "image: is missing");
    size_t size = l->user_data ? strlen(l->user_data) : 0;
    if (p->class->user_data_max && size > p->class->user_data_max)
        return sc_fail(err, -EINVAL,
                       "user_data: %zu bytes, and provider '%s' takes %zu",
                       size, p->class->name, p->class->user_data_max);
    if (l->max_price < 0 || (l->max_price > 0 && !l->spot))
        return sc_fail(err, -EINVAL,
                       "max_price: must be more than 0 and with 'spot'");
    for (size_t i = 0; i < l->n_rules; i++)
        if ((r = check_rule(&l->rules[i], err)) < 0)
            return r;
    return 0;
}

int provider_launch(struct provider *p, const struct provider_launch *l,
                    struct provider_instance *ret, struct sc_err *err)
{
    if (!p->class->launch)
        return lacks(p, "launch", err);
    int r = check_launch(p, l, err);
    return r < 0 ? r : p->class->launch(p, l, ret, err);
}

int provider_list(struct provider *p, const char *region, provider_each_fn *fn,
                  void *arg, struct sc_err *err)
{
    if (!p->class->list)
        return lacks(p, "list", err);
    int r = check_word("region", region, true, err);
    return r < 0 ? r : p->class->list(p, region, fn, arg, err);
}

static int check_id(const char *region, const char *id, struct sc_err *err)
{
    int r = check_word("region", region, true, err);
    return r < 0 ? r : check_word("id", id, false, err);
}

int provider_terminate(struct provider *p, const char *region, const char *id,
                       struct sc_err *err)
{
    if (!p->class->terminate)
        return lacks(p, "terminate", err);
    int r = check_id(region, id, err);
    return r < 0 ? r : p->class->terminate(p, region, id, err);
}

int provider_fence(struct provider *p, const char *region, const char *id,
                   struct sc_err *err)
{
    if (!p->class->fence)
        return lacks(p, "fence", err);
    int r = check_id(region, id, err);
    return r < 0 ? r : p->class->fence(p, region, id, err);
}

/* The last bytes of 'log', from the beginning of a line on; NUL-ended text. */
static char *tail_of(const char *log, size_t size)
{
    /* As long as the limit: the provider has cut it, somewhere in a line. */
    if (size >= PROVIDER_CONSOLE_MAX) {
        const char *from = log + size - PROVIDER_CONSOLE_MAX;
        const char *before = from > log ? from - 1 : from;
        const char *line =
            memchr(before, '\n', (size_t)(log + size - 1 - before));
        from = line ? line + 1 : from;
        size -= (size_t)(from - log);
        log = from;
    }
    char *text = malloc(size + 1);
    for (size_t i = 0; text && i < size; i++)
        text[i] = log[i] ? log[i] : '?';
    if (text)
        text[size] = '\0';
    return text;
}

int provider_console(struct provider *p, const char *region, const char *id,
                     char **ret, struct sc_err *err)
{
    SC_AUTO(free) char *log = NULL;
    size_t size = 0;
    if (!p->class->console)
        return lacks(p, "console", err);
    int r = check_id(region, id, err);
    if (r == 0)
        r = p->class->console(p, region, id, &log, &size, err);
    if (r < 0)
        return r;
    char *text = tail_of(log ? log : "", log ? size : 0);
    if (!text)
        return sc_fail(err, -ENOMEM, "console: out of memory");
    *ret = text;
    return 0;
}

int provider_types(struct provider *p, const char *region,
                   provider_each_type_fn *fn, void *arg, struct sc_err *err)
{
    if (!p->class->types)
        return lacks(p, "types", err);
    int r = check_word("region", region, true, err);
    return r < 0 ? r : p->class->types(p, region, fn, arg, err);
}

int provider_prices(struct provider *p, const char *region, const char *type,
                    provider_each_price_fn *fn, void *arg, struct sc_err *err)
{
    if (!p->class->prices)
        return lacks(p, "prices", err);
    int r = check_word("region", region, true, err);
    if (r == 0)
        r = check_word("type", type, true, err);
    return r < 0 ? r : p->class->prices(p, region, type, fn, arg, err);
}

int provider_leftovers(struct provider *p, const char *cluster,
                       provider_each_resource_fn *fn, void *arg,
                       struct sc_err *err)
{
    if (!p->class->leftovers)
        return lacks(p, "leftovers", err);
    if (!tag_ok(cluster))
        return sc_fail(err, -EINVAL,
                       "cluster '%s': must be 1 to 63 of a-z, 0-9, '-'",
                       cluster ? cluster : "");
    return p->class->leftovers(p, cluster, fn, arg, err);
}

int provider_remove(struct provider *p, const char *kind, const char *region,
                    const char *id, struct sc_err *err)
{
    if (!p->class->remove)
        return lacks(p, "remove", err);
    int r = check_word("kind", kind, false, err);
    if (r == 0)
        r = check_id(region, id, err);
    return r < 0 ? r : p->class->remove(p, kind, region, id, err);
}

void provider_progress(const struct provider *p, const char *stage,
                       uint64_t done, uint64_t total)
{
    if (p->hooks.progress)
        p->hooks.progress(p->hooks.arg, stage, done, total);
}

void provider_save(const struct provider *p, const cJSON *state)
{
    if (p->hooks.save)
        p->hooks.save(p->hooks.arg, state);
}

bool provider_cancelled(const struct provider *p)
{
    return p->hooks.cancelled && p->hooks.cancelled(p->hooks.arg);
}

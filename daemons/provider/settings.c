/* settings - see settings.h. */
#include "provider/settings.h"

#include <string.h>
#include <strings.h>

static char **place_of(const struct setting *s, void *base)
{
    return (char **)((char *)base + s->at);
}

int settings_read(const struct setting *s, struct json_reader *r, void *base,
                  struct sc_err *err)
{
    for (; s->name; s++) {
        size_t max = s->max ? s->max : SETTING_MAX;
        const char *text = s->min ? json_str(r, s->name, s->min, max)
                                  : json_str_or(r, s->name, max, NULL);
        size_t len = text ? strlen(text) : 0;
        while (s->trim && len && text[len - 1] == '/')
            len--;
        if (!len) {
            text = s->def;
            len = text ? strlen(text) : 0;
        }
        if (text && !(*place_of(s, base) = strndup(text, len)))
            return sc_fail(err, -ENOMEM, "%s: out of memory", r->what);
    }
    return 0;
}

void settings_clear(const struct setting *s, void *base)
{
    for (; s->name; s++) {
        char **at = place_of(s, base);
        if (*at)
            explicit_bzero(*at, strlen(*at));
        free(*at);
        *at = NULL;
    }
}

static bool cancelled(void *arg)
{
    return provider_cancelled(arg);
}

int settings_web(struct provider *up, struct web_options o, struct web **ret,
                 struct sc_err *err)
{
    o.cancelled = cancelled;
    o.arg = up;
    return web_new(&o, ret, err);
}

int settings_first(const char *what, const char *asked, const char *list,
                   char ret[64], struct sc_err *err)
{
    const char *from = asked && *asked ? asked : list;
    size_t len = from ? strcspn(from, ", ") : 0;
    if (!len || len > 63)
        return sc_fail(err, -EINVAL,
                       "%s: none given, and the settings have none", what);
    snprintf(ret, 64, "%.*s", (int)len, from);
    return 0;
}

bool settings_listed(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *s = list; s && *s;) {
        size_t n = strcspn(s, ", ");
        if (n == len && !strncasecmp(s, name, len))
            return true;
        s += n;
        s += strspn(s, ", ");
    }
    return !list || !*list;
}

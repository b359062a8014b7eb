/* provider - see provider.h: finds the driver, checks what no driver should
 * have to, and says plainly what a driver lacks. */
#include "provider/provider-class.h"

#include "common/json.h"

static const struct provider_class *const classes[] = { &p_local_class };

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
    free(i->type);
    free(i->address);
    free(i->console);
    *i = (struct provider_instance){ 0 };
}

int provider_open(const char *name, const cJSON *config, struct provider **ret,
                  struct sc_err *err)
{
    char known[256] = "";
    for (size_t i = 0; i < SC_ARRAY_LEN(classes); i++) {
        if (!strcmp(classes[i]->name, name))
            return classes[i]->open(config, ret, err);
        size_t len = strlen(known);
        snprintf(known + len, sizeof known - len, "%s%s", len ? ", " : "",
                 classes[i]->name);
    }
    return sc_fail(err, -ENOENT, "provider '%s': unknown; there are: %s", name,
                   known);
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

int provider_launch(struct provider *p, const struct provider_launch *l,
                    struct provider_instance *ret, struct sc_err *err)
{
    if (!p->class->launch)
        return lacks(p, "launch", err);
    if (!l->name || !sc_name_ok(l->name))
        return sc_fail(err, -EINVAL,
                       "name '%s': must be 1 to 63 letters, digits, '.', '_' "
                       "or '-', and begin with a letter or digit",
                       l->name ? l->name : "");
    if (!l->region || !sc_name_ok(l->region))
        return sc_fail(err, -EINVAL, "region '%s': not a region's name",
                       l->region ? l->region : "");
    return p->class->launch(p, l, ret, err);
}

int provider_list(struct provider *p, provider_each_fn *fn, void *arg,
                  struct sc_err *err)
{
    return p->class->list ? p->class->list(p, fn, arg, err)
                          : lacks(p, "list", err);
}

int provider_terminate(struct provider *p, const char *id, struct sc_err *err)
{
    return p->class->terminate ? p->class->terminate(p, id, err)
                               : lacks(p, "terminate", err);
}

int provider_fence(struct provider *p, const char *id, struct sc_err *err)
{
    return p->class->fence ? p->class->fence(p, id, err)
                           : lacks(p, "fence", err);
}

int provider_types(struct provider *p, const struct provider_type **ret,
                   struct sc_err *err)
{
    return p->class->types ? p->class->types(p, ret, err)
                           : lacks(p, "types", err);
}

/* p_azure_launch - see p_azure.h: a machine and what it needs.
 *
 * The firewall (security group), the public address, the interface and the
 * machine, in this order; a network of the location's is made if there is none
 * and kept.  Every step is a PUT under a name that follows from the machine's,
 * so a repeated launch makes nothing twice; a machine of this name with our
 * tags is the result. */
#include "provider/p_azure.h"

#define DEFAULT_TYPE "Standard_D2s_v5"

struct launch {
    struct p_azure *p;
    const struct provider_launch *l;
    char location[64], nic[80], ip[80], nsg[80], vnet[80];
    char subnet_id[AZURE_URL_MAX];
    bool made;
};

static void save(const struct launch *s, const char *step)
{
    SC_AUTO(cjson_free) cJSON *state = rest_json("{'step':%s}", step);
    provider_progress(&s->p->up, step, 0, 0);
    if (state)
        provider_save(&s->p->up, state);
}

static int cancelled(const struct launch *s, struct sc_err *err)
{
    return provider_cancelled(&s->p->up)
               ? sc_fail(err, -ECANCELED, "azure: launch: cancelled")
               : 0;
}

static int find_machine(struct launch *s, struct provider_instance *ret,
                        bool *ret_found, struct sc_err *err)
{
    struct rest_answer a = { 0 };
    int r = azure_get(s->p, AZURE_VM, s->l->name, &a, ret_found, err);
    bool ours = azure_has_tags(a.json, &s->l->tags);
    bool failed =
        !strcmp(rest_str(a.json, "properties.provisioningState"), "Failed");
    rest_answer_clear(&a);
    if (r < 0 || !*ret_found)
        return r;
    if (!ours)
        return sc_fail(err, -EEXIST,
                       "azure: instance '%s': there is one of this name, not "
                       "of this launch: take another name",
                       s->l->name);
    if (failed) { /* An earlier try: begin anew. */
        *ret_found = false;
        return azure_remove_machine(s->p, s->l->name, err);
    }
    return azure_instance(s->p, s->l->name, ret, err);
}

/* The network of ours in this location, unless the options name a subnet. */
static int make_network(struct launch *s, struct sc_err *err)
{
    const char *own = rest_str(s->l->options, "subnet");
    struct rest_answer a = { 0 };
    bool found;
    if (*own) {
        snprintf(s->subnet_id, sizeof s->subnet_id, "%s", own);
        return 0;
    }
    snprintf(s->vnet, sizeof s->vnet, "supercloud-%s", s->location);
    char id[AZURE_URL_MAX];
    azure_id(s->p, AZURE_VNET, s->vnet, id);
    snprintf(s->subnet_id, sizeof s->subnet_id, "%.*s/subnets/default",
             (int)sizeof s->subnet_id - 20, id);
    save(s, "network");
    int r = azure_get(s->p, AZURE_VNET, s->vnet, &a, &found, err);
    rest_answer_clear(&a);
    if (r < 0 || found)
        return r;
    return azure_do(s->p, "PUT", AZURE_VNET, s->vnet, "", "",
                    azure_vnet_body(s->l, s->location), false, NULL, err);
}

static int make(struct launch *s, enum azure_kind kind, const char *name,
                cJSON *body, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *taken = body;
    int r = cancelled(s, err);
    if (r < 0)
        return r;
    if (!taken)
        return sc_fail(err, -ENOMEM, "azure: out of memory");
    s->made = true;
    save(s, azure_type(kind)->kind);
    return azure_do(s->p, "PUT", kind, name, "", "", SC_TAKE(taken), false,
                    NULL, err);
}

/* Azure says InvalidParameter of a size there is not. */
static int unknown_type(int r, const char *type, struct sc_err *err)
{
    if (r != -EINVAL || !err || !strstr(err->text, "vmSize"))
        return r;
    SC_AUTO(free) char *text = strdup(err->text);
    return sc_fail(err, -ENOENT, "%.420s: type '%s': types can be listed",
                   text ? text : "", type);
}

static int make_machine(struct launch *s, struct sc_err *err)
{
    const struct provider_launch *l = s->l;
    char nic_id[AZURE_URL_MAX], image[AZURE_URL_MAX];
    const char *type = l->type && *l->type ? l->type : DEFAULT_TYPE;
    const char *given = rest_str(l->options, "ssh_key");
    SC_AUTO(free) char *made = NULL;
    int r = *given ? 0 : azure_nobodys_key(&made, err);
    if (r < 0)
        return r;
    azure_id(s->p, AZURE_NIC, s->nic, nic_id);
    if (*l->image == '/')
        snprintf(image, sizeof image, "%s", l->image);
    else
        azure_id(s->p, AZURE_IMAGE, l->image, image);
    r = make(s, AZURE_VM, l->name,
             azure_vm_body(s->p, l, s->location, type, image, nic_id,
                           *given ? given : made),
             err);
    return unknown_type(r, type, err);
}

static int make_all(struct launch *s, struct sc_err *err)
{
    char ip_id[AZURE_URL_MAX], nsg_id[AZURE_URL_MAX];
    azure_id(s->p, AZURE_IP, s->ip, ip_id);
    azure_id(s->p, AZURE_NSG, s->nsg, nsg_id);
    int r = make_network(s, err);
    if (r == 0)
        r = make(s, AZURE_NSG, s->nsg, azure_nsg_body(s->l, s->location), err);
    if (r == 0)
        r = make(s, AZURE_IP, s->ip, azure_ip_body(s->l, s->location), err);
    if (r == 0)
        r = make(s, AZURE_NIC, s->nic,
                 azure_nic_body(s->l, s->location, s->subnet_id, ip_id, nsg_id),
                 err);
    return r == 0 ? make_machine(s, err) : r;
}

int azure_launch(struct provider *up, const struct provider_launch *l,
                 struct provider_instance *ret, struct sc_err *err)
{
    struct launch s = { .p = (struct p_azure *)up, .l = l };
    bool found = false;
    if (!azure_name_ok(l->name))
        return sc_fail(err, -EINVAL,
                       "azure: instance name '%s': must be 1 to 64 letters, "
                       "digits or '-', and neither begin nor end with '-'",
                       l->name);
    snprintf(s.nic, sizeof s.nic, "%s-nic", l->name);
    snprintf(s.ip, sizeof s.ip, "%s-ip", l->name);
    snprintf(s.nsg, sizeof s.nsg, "%s-nsg", l->name);
    int r = azure_location(s.p, l->region, s.location, err);
    if (r == 0)
        r = find_machine(&s, ret, &found, err);
    if (r < 0 || found)
        return r;
    r = make_all(&s, err);
    if (r == 0)
        r = azure_instance(s.p, l->name, ret, err);
    if (r < 0 && s.made && web_for_good(r)) {
        web_undoing(s.p->web, true);
        provider_progress(&s.p->up, "undo", 0, 0);
        (void)!azure_remove_machine(s.p, l->name, NULL);
        web_undoing(s.p->web, false);
    }
    return r;
}

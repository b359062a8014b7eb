#include "controller/ops.h"
#include "model/network.h"

enum { VNI_MAX = (1 << 24) - 1 };

static struct network *op_network(struct op_call *c)
{
    struct json_reader r = json_read(c->params, "network");
    const char *id = json_str(&r, "id", 1, OBJ_NAME);
    struct sc_err err;
    if (json_done(&r, &err) < 0) {
        op_fail(c, &err);
        return NULL;
    }
    struct network *n = ctl_network_find(c->ctl, id);
    if (!n)
        op_failf(c, -ENOENT, "network '%s': not found", id);
    return n;
}

void op_network_list(struct op_call *c)
{
    cJSON *j = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(j, "networks");
    for (size_t i = 0; i < c->ctl->networks.n; i++)
        cJSON_AddItemToArray(
            list, ctl_network_json(c->ctl, c->ctl->networks.items[i]));
    op_reply(c, 0, j);
}

void op_network_show(struct op_call *c)
{
    const struct network *n = op_network(c);
    if (n)
        op_reply(c, 0, ctl_network_json(c->ctl, n));
}

static int create_read(struct ctl *ctl, const cJSON *params, struct network *n,
                       struct sc_err *err)
{
    static const char *const keys[] = {
        "name", "cidr", "gateway", "dns", "mtu", "dhcp_start", "dhcp_end", NULL
    };
    struct json_reader r = json_read(params, "network.create");
    OBJ_SET(n->name, json_str(&r, "name", 1, OBJ_NAME - 1));
    OBJ_SET(n->cidr, json_str(&r, "cidr", 1, sizeof n->cidr - 1));
    OBJ_SET(n->gateway, json_str_or(&r, "gateway", 15, ""));
    OBJ_SET(n->dns, json_str_or(&r, "dns", 15, ""));
    OBJ_SET(n->dhcp_start, json_str_or(&r, "dhcp_start", 15, ""));
    OBJ_SET(n->dhcp_end, json_str_or(&r, "dhcp_end", 15, ""));
    n->mtu = (uint32_t)json_int_or(&r, "mtu", 576, 9000, 0);
    json_only(&r, keys);
    int e = json_done(&r, err);
    if (e == 0 && !sc_name_ok(n->name))
        e = sc_fail(err, -EINVAL,
                    "network.create: 'name' '%s': must be 1 to 63 of a-z A-Z "
                    "0-9 . _ -, the first a letter or digit",
                    n->name);
    if (e == 0 && ctl_network_find(ctl, n->name))
        e = sc_fail(err, -EEXIST, "network '%s': exists already", n->name);
    if (e == 0 && ctl->next_vni > VNI_MAX)
        e = sc_fail(err, -ENOSPC, "network: no segment number is left");
    if (e == 0)
        e = network_complete(n, err);
    return e < 0 ? sc_fail_in(err, "network.create") : 0;
}

void op_network_create(struct op_call *c)
{
    struct ctl *ctl = c->ctl;
    struct sc_err err;
    SC_AUTO(free) struct network *n = calloc(1, sizeof *n);
    if (!n) {
        op_failf(c, -ENOMEM, "network.create: out of memory");
        return;
    }
    if (create_read(ctl, c->params, n, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    sc_uuid_new(n->id);
    n->created_at = ctl_now(ctl);
    n->vni = ctl->next_vni++;
    if (!ctl_list_add(&ctl->networks, n)) {
        op_failf(c, -ENOMEM, "network.create: out of memory");
        return;
    }
    struct network *made = SC_TAKE(n);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_put_network(x, made);
    ctl_put_number(x, "next_vni", ctl->next_vni);
    if (ctl_txn_commit(x, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    ctl->env.notify(ctl->env.ctx, 0, PROGRAM_NETWORK, "net.network_set",
                    ctl_net_network_json(made));
    op_reply(c, 201, ctl_network_json(ctl, made));
}

void op_network_delete(struct op_call *c)
{
    struct ctl *ctl = c->ctl;
    struct sc_err err;
    struct network *n = op_network(c);
    if (!n)
        return;
    for (size_t i = 0; i < ctl->vms.n; i++) {
        const struct vm *v = ctl->vms.items[i];
        for (uint32_t p = 0; p < v->n_ports; p++) {
            if (!strcmp(v->ports[p].network, n->id)) {
                op_failf(c, -EBUSY, "network '%s': vm '%s' is on it", n->name,
                         v->name);
                return;
            }
        }
    }
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_list_remove(&ctl->networks, n);
    ctl_del(x, "networks", n->id, "network");
    cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "id", n->id);
    free(n);
    if (ctl_txn_commit(x, &err) < 0) {
        cJSON_Delete(p);
        op_fail(c, &err);
        return;
    }
    ctl->env.notify(ctl->env.ctx, 0, PROGRAM_NETWORK, "net.network_del", p);
    op_reply(c, 0, NULL);
}

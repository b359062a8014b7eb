/* How: reads the rows as JSON, never as structs of ours: a difference needs
 * a handful of columns, and what it does not know it must not touch. */
#include "node/ovs_diff.h"

#include "common/json.h"

#include <stdio.h>

enum {
    CONTROLLER_BACKOFF_MS = 1000,
    DEFAULT_PROBE_MS = 5000,
    /* Packets a second that may be sent up; ovs-vswitchd shares them out
     * between the ports, so that one guest cannot take them all. */
    CONTROLLER_RATE = 2000,
    CONTROLLER_BURST = 500,
};

/* --- small JSON helpers for OVSDB's values (RFC 7047 section 5.1) --------- */

static cJSON *arr(cJSON *a, cJSON *b)
{
    cJSON *r = cJSON_CreateArray();
    cJSON_AddItemToArray(r, a);
    cJSON_AddItemToArray(r, b);
    return r;
}

static cJSON *str(const char *s)
{
    return cJSON_CreateString(s);
}

static cJSON *uuid_ref(const char *uuid)
{
    return arr(str("uuid"), str(uuid));
}

static cJSON *named(const char *name)
{
    return arr(str("named-uuid"), str(name));
}

static cJSON *set_of(cJSON *items)
{
    return arr(str("set"), items);
}

cJSON *ovsdb_list1(cJSON *a)
{
    cJSON *r = cJSON_CreateArray();
    cJSON_AddItemToArray(r, a);
    return r;
}

static cJSON *set1(cJSON *item)
{
    return set_of(ovsdb_list1(item));
}

/* {"k": "v", ...} as OVSDB's ["map", [["k","v"], ...]]; takes 'object'. */
static cJSON *map_of(cJSON *object)
{
    cJSON *pairs = cJSON_CreateArray();
    const cJSON *i;
    cJSON_ArrayForEach(i, object)
        cJSON_AddItemToArray(pairs, arr(str(i->string), str(i->valuestring)));
    cJSON_Delete(object);
    return arr(str("map"), pairs);
}

cJSON *ovsdb_where(const char *column, const char *function, cJSON *value)
{
    cJSON *c = arr(str(column), str(function));
    cJSON_AddItemToArray(c, value);
    return ovsdb_list1(c);
}

static cJSON *where_uuid(const char *uuid)
{
    return ovsdb_where("_uuid", "==", uuid_ref(uuid));
}

cJSON *ovsdb_op(cJSON *ops, const char *name, const char *table)
{
    cJSON *op = cJSON_CreateObject();
    cJSON_AddStringToObject(op, "op", name);
    if (table)
        cJSON_AddStringToObject(op, "table", table);
    cJSON_AddItemToArray(ops, op);
    return op;
}

static void op_insert(cJSON *ops, const char *table, const char *name,
                      cJSON *row)
{
    cJSON *op = ovsdb_op(ops, "insert", table);
    cJSON_AddStringToObject(op, "uuid-name", name);
    cJSON_AddItemToObject(op, "row", row);
}

static void op_update(cJSON *ops, const char *table, const char *uuid,
                      cJSON *row)
{
    cJSON *op = ovsdb_op(ops, "update", table);
    cJSON_AddItemToObject(op, "where",
                          uuid ? where_uuid(uuid) : cJSON_CreateArray());
    cJSON_AddItemToObject(op, "row", row);
}

/* 'uuid' NULL: every row (Open_vSwitch has one). */
void ovsdb_mutate(cJSON *ops, const char *table, const char *uuid,
                  const char *column, const char *mutator, cJSON *value)
{
    cJSON *op = ovsdb_op(ops, "mutate", table);
    cJSON *m = arr(str(column), str(mutator));
    cJSON_AddItemToArray(m, value);
    cJSON_AddItemToObject(op, "where",
                          uuid ? where_uuid(uuid) : cJSON_CreateArray());
    cJSON_AddItemToObject(op, "mutations", ovsdb_list1(m));
}

void ovsdb_select(cJSON *ops, const char *table, cJSON *where,
                  const char *const columns[])
{
    cJSON *op = ovsdb_op(ops, "select", table);
    cJSON *list = cJSON_AddArrayToObject(op, "columns");
    cJSON_AddItemToObject(op, "where", where);
    for (; *columns; columns++)
        cJSON_AddItemToArray(list, str(*columns));
}

/* A string column; "" when absent or an empty set. */
const char *ovsdb_row_str(const cJSON *row, const char *column)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(row, column);
    return cJSON_IsString(v) ? v->valuestring : "";
}

static const char *row_uuid(const cJSON *row)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(row, "_uuid");
    const cJSON *s = cJSON_GetArrayItem(v, 1);
    return cJSON_IsString(s) ? s->valuestring : "";
}

int64_t ovsdb_row_int(const cJSON *row, const char *column, int64_t def)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(row, column);
    return cJSON_IsNumber(v) ? (int64_t)v->valuedouble : def;
}

static const char *tag_of(const cJSON *v)
{
    const cJSON *t = cJSON_IsArray(v) ? v->child : NULL;
    return t && cJSON_IsString(t) ? t->valuestring : "";
}

/* Value of 'key' in a map column, or "". */
static const char *map_get(const cJSON *row, const char *column,
                           const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(row, column);
    const cJSON *pair;
    if (strcmp(tag_of(v), "map") != 0)
        return "";
    cJSON_ArrayForEach(pair, cJSON_GetArrayItem(v, 1))
    {
        const cJSON *k = cJSON_GetArrayItem(pair, 0);
        const cJSON *x = cJSON_GetArrayItem(pair, 1);
        if (cJSON_IsString(k) && cJSON_IsString(x) &&
            strcmp(k->valuestring, key) == 0)
            return x->valuestring;
    }
    return "";
}

/* Is atom 'want' (a string, or a uuid's text) in set column 'column'?  Also
 * counts the atoms. */
static bool set_has(const cJSON *row, const char *column, const char *want,
                    size_t *ret_n)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(row, column);
    bool is_set = strcmp(tag_of(v), "set") == 0;
    const cJSON *items = is_set ? cJSON_GetArrayItem(v, 1) : NULL;
    const cJSON *a = !is_set ? v : items ? items->child : NULL;
    bool found = false;
    size_t n = 0;
    for (; a; a = is_set ? a->next : NULL) {
        const cJSON *s = cJSON_IsArray(a) ? cJSON_GetArrayItem(a, 1) : a;
        n++;
        found |= cJSON_IsString(s) && strcmp(s->valuestring, want) == 0;
    }
    if (ret_n)
        *ret_n = n;
    return found;
}

/* Rows of the i'th select of a transact reply. */
const cJSON *ovsdb_rows(const cJSON *result, int i)
{
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(result, i),
                                            "rows");
}

static const cJSON *row_named(const cJSON *rows, const char *name)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        if (strcmp(ovsdb_row_str(row, "name"), name) == 0)
            return row;
    }
    return NULL;
}

/* --- what the database has, and the difference ---------------------------- */

enum { T_ROOT, T_BRIDGE, T_PORT, T_INTERFACE, T_CONTROLLER, T_SSL };

cJSON *ovs_read_ops(void)
{
    static const struct {
        const char *table;
        const char *columns[8];
    } reads[] = {
        [T_ROOT] = { "Open_vSwitch", { "_uuid", "ssl", "bridges", NULL } },
        [T_BRIDGE] = { "Bridge",
                       { "_uuid", "name", "ports", "controller",
                         "datapath_type", "fail_mode", "protocols",
                         "other_config" } },
        [T_PORT] = { "Port", { "_uuid", "name", "interfaces", NULL } },
        [T_INTERFACE] = { "Interface",
                          { "_uuid", "name", "type", "options", "external_ids",
                            "ofport", "error", NULL } },
        [T_CONTROLLER] = { "Controller",
                           { "_uuid", "target", "connection_mode",
                             "inactivity_probe", "max_backoff",
                             "controller_rate_limit", "controller_burst_limit",
                             NULL } },
        [T_SSL] = { "SSL",
                    { "_uuid", "private_key", "certificate", "ca_cert",
                      NULL } },
    };
    cJSON *ops = cJSON_CreateArray();
    for (size_t i = 0; i < SC_ARRAY_LEN(reads); i++) {
        const char *columns[9] = { NULL };
        memcpy(columns, reads[i].columns, sizeof reads[i].columns);
        ovsdb_select(ops, reads[i].table, cJSON_CreateArray(), columns);
    }
    return ops;
}

/* Adds to 'row' what 'have' (NULL: no row yet) has otherwise. */
static void want_str(cJSON *row, const cJSON *have, const char *column,
                     const char *value)
{
    if (!have || strcmp(ovsdb_row_str(have, column), value) != 0)
        cJSON_AddStringToObject(row, column, value);
}

static void want_int(cJSON *row, const cJSON *have, const char *column,
                     int64_t value)
{
    if (!have || ovsdb_row_int(have, column, -1) != value)
        cJSON_AddNumberToObject(row, column, (double)value);
}

static void diff_ssl(const struct ovs_wanted *want, const cJSON *db, cJSON *ops)
{
    const cJSON *root = cJSON_GetArrayItem(ovsdb_rows(db, T_ROOT), 0);
    const cJSON *have = NULL, *row;
    if (!want->bridge.ca_file)
        return;
    cJSON_ArrayForEach(row, ovsdb_rows(db, T_SSL))
    {
        if (set_has(root, "ssl", row_uuid(row), NULL))
            have = row;
    }
    cJSON *fresh = cJSON_CreateObject();
    want_str(fresh, have, "private_key", want->bridge.key_file);
    want_str(fresh, have, "certificate", want->bridge.cert_file);
    want_str(fresh, have, "ca_cert", want->bridge.ca_file);
    if (!fresh->child) {
        cJSON_Delete(fresh);
    } else if (have) {
        op_update(ops, "SSL", row_uuid(have), fresh);
    } else {
        op_insert(ops, "SSL", "ssl", fresh);
        cJSON *link = cJSON_CreateObject();
        cJSON_AddItemToObject(link, "ssl", set1(named("ssl")));
        op_update(ops, "Open_vSwitch", NULL, link);
    }
}

/* The bridge's one controller.  Adds the column to 'row' if it changes. */
static void diff_controller(const struct ovs_wanted *want, const cJSON *bridge,
                            const cJSON *db, cJSON *ops, cJSON *row)
{
    const cJSON *c, *have = NULL;
    size_t n = 0;
    cJSON_ArrayForEach(c, ovsdb_rows(db, T_CONTROLLER))
    {
        if (bridge && set_has(bridge, "controller", row_uuid(c), &n) &&
            strcmp(ovsdb_row_str(c, "target"), want->bridge.controller) == 0)
            have = c;
    }
    cJSON *fresh = cJSON_CreateObject();
    want_str(fresh, have, "target", want->bridge.controller);
    want_str(fresh, have, "connection_mode", "out-of-band");
    want_int(fresh, have, "inactivity_probe",
             want->bridge.probe_ms ? want->bridge.probe_ms : DEFAULT_PROBE_MS);
    want_int(fresh, have, "max_backoff", CONTROLLER_BACKOFF_MS);
    want_int(fresh, have, "controller_rate_limit", CONTROLLER_RATE);
    want_int(fresh, have, "controller_burst_limit", CONTROLLER_BURST);
    if (!have) {
        op_insert(ops, "Controller", "ctl", fresh);
        cJSON_AddItemToObject(row, "controller", set1(named("ctl")));
        return;
    }
    if (n > 1)
        cJSON_AddItemToObject(row, "controller",
                              set1(uuid_ref(row_uuid(have))));
    if (fresh->child)
        op_update(ops, "Controller", row_uuid(have), fresh);
    else
        cJSON_Delete(fresh);
}

static void diff_bridge(const struct ovs_wanted *want, const cJSON *db,
                        cJSON *ops)
{
    static const char *const protocols[] = { "OpenFlow13", "OpenFlow14",
                                             "OpenFlow15" };
    const cJSON *have = row_named(ovsdb_rows(db, T_BRIDGE), want->bridge.name);
    cJSON *row = cJSON_CreateObject();
    char dpid[17];
    size_t n = 0;
    bool same = have;

    snprintf(dpid, sizeof dpid, "%016x", want->bridge.nid);
    diff_ssl(want, db, ops);
    want_str(row, have, "datapath_type", want->bridge.datapath);
    want_str(row, have, "fail_mode", "secure");
    for (size_t i = 0; i < SC_ARRAY_LEN(protocols); i++)
        same = same && set_has(have, "protocols", protocols[i], &n);
    if (!same || n != SC_ARRAY_LEN(protocols)) {
        cJSON *list = cJSON_CreateArray();
        for (size_t i = 0; i < SC_ARRAY_LEN(protocols); i++)
            cJSON_AddItemToArray(list, str(protocols[i]));
        cJSON_AddItemToObject(row, "protocols", set_of(list));
    }
    diff_controller(want, have, db, ops, row);

    cJSON *other = cJSON_CreateObject();
    cJSON_AddStringToObject(other, "datapath-id", dpid);
    cJSON_AddStringToObject(other, "disable-in-band", "true");
    if (!have) {
        cJSON *interface = cJSON_CreateObject();
        cJSON *port = cJSON_CreateObject();
        cJSON_AddStringToObject(interface, "name", want->bridge.name);
        cJSON_AddStringToObject(interface, "type", "internal");
        cJSON_AddStringToObject(port, "name", want->bridge.name);
        cJSON_AddItemToObject(port, "interfaces", set1(named("if0")));
        cJSON_AddStringToObject(row, "name", want->bridge.name);
        cJSON_AddItemToObject(row, "ports", set1(named("port0")));
        cJSON_AddItemToObject(row, "other_config", map_of(other));
        op_insert(ops, "Interface", "if0", interface);
        op_insert(ops, "Port", "port0", port);
        op_insert(ops, "Bridge", "br0", row);
        ovsdb_mutate(ops, "Open_vSwitch", NULL, "bridges", "insert",
                     set1(named("br0")));
        return;
    }
    if (strcmp(map_get(have, "other_config", "datapath-id"), dpid) != 0 ||
        strcmp(map_get(have, "other_config", "disable-in-band"), "true") != 0) {
        cJSON *keys = ovsdb_list1(str("datapath-id"));
        cJSON_AddItemToArray(keys, str("disable-in-band"));
        ovsdb_mutate(ops, "Bridge", row_uuid(have), "other_config", "delete",
                     set_of(keys));
        ovsdb_mutate(ops, "Bridge", row_uuid(have), "other_config", "insert",
                     map_of(other));
    } else {
        cJSON_Delete(other);
    }
    if (row->child)
        op_update(ops, "Bridge", row_uuid(have), row);
    else
        cJSON_Delete(row);
}

/* Makes port 'name' of bridge 'bridge' with one interface of 'type' and the
 * maps 'options' and 'ids' (objects; taken; NULL: none) what they say. */
static void diff_port(const cJSON *bridge, const cJSON *db, cJSON *ops,
                      size_t i, const char *name, const char *type,
                      cJSON *options, cJSON *ids)
{
    const cJSON *port = row_named(ovsdb_rows(db, T_PORT), name);
    const cJSON *have = row_named(ovsdb_rows(db, T_INTERFACE), name);
    const cJSON *maps[] = { options, ids }, *kv, *b;
    const char *columns[] = { "options", "external_ids" };
    bool same = port && have && strcmp(ovsdb_row_str(have, "type"), type) == 0;

    for (int m = 0; m < 2; m++) {
        cJSON_ArrayForEach(kv, maps[m]) same =
            same &&
            strcmp(map_get(have, columns[m], kv->string), kv->valuestring) == 0;
    }
    if (same && set_has(bridge, "ports", row_uuid(port), NULL)) {
        cJSON_Delete(options);
        cJSON_Delete(ids);
        return;
    }
    /* Anything else by this name goes, on whatever bridge it is. */
    cJSON_ArrayForEach(b, ovsdb_rows(db, T_BRIDGE))
    {
        if (port && set_has(b, "ports", row_uuid(port), NULL))
            ovsdb_mutate(ops, "Bridge", row_uuid(b), "ports", "delete",
                         set1(uuid_ref(row_uuid(port))));
    }
    char port_name[24], interface_name[24];
    cJSON *interface = cJSON_CreateObject(), *row = cJSON_CreateObject();
    snprintf(port_name, sizeof port_name, "p%zu", i);
    snprintf(interface_name, sizeof interface_name, "i%zu", i);
    cJSON_AddStringToObject(interface, "name", name);
    cJSON_AddStringToObject(interface, "type", type);
    if (options)
        cJSON_AddItemToObject(interface, "options", map_of(options));
    if (ids)
        cJSON_AddItemToObject(interface, "external_ids", map_of(ids));
    cJSON_AddStringToObject(row, "name", name);
    cJSON_AddItemToObject(row, "interfaces", set1(named(interface_name)));
    op_insert(ops, "Interface", interface_name, interface);
    op_insert(ops, "Port", port_name, row);
    ovsdb_mutate(ops, "Bridge", row_uuid(bridge), "ports", "insert",
                 set1(named(port_name)));
}

static bool has_name(const struct ovs_wanted *want, const char *name)
{
    for (size_t i = 0; i < want->n_names; i++) {
        if (strcmp(want->names[i], name) == 0)
            return true;
    }
    return false;
}

/* Takes ports that begin with 'prefix' and are not in want->names off. */
static void diff_retain(const struct ovs_wanted *want, const cJSON *bridge,
                        const cJSON *db, cJSON *ops, const char *prefix)
{
    const cJSON *p;
    cJSON_ArrayForEach(p, ovsdb_rows(db, T_PORT))
    {
        const char *name = ovsdb_row_str(p, "name");
        if (strncmp(name, prefix, 2) == 0 && !has_name(want, name) &&
            set_has(bridge, "ports", row_uuid(p), NULL))
            ovsdb_mutate(ops, "Bridge", row_uuid(bridge), "ports", "delete",
                         set1(uuid_ref(row_uuid(p))));
    }
}

static void diff_mesh(const struct ovs_wanted *want, const cJSON *bridge,
                      const cJSON *db, cJSON *ops)
{
    diff_retain(want, bridge, db, ops, "vx");
    for (size_t i = 0; i < want->n_names; i++) {
        cJSON *options = cJSON_CreateObject();
        cJSON_AddStringToObject(options, "remote_ip", want->addresses[i]);
        cJSON_AddStringToObject(options, "key", "flow");
        json_set_strf(options, "dst_port", "%d", OVS_VXLAN_PORT);
        diff_port(bridge, db, ops, i, want->names[i], "vxlan", options, NULL);
    }
}

/* The operations that make the database what 'op' wants; NULL with 'err'. */
cJSON *ovs_diff(const struct ovs_wanted *want, const char *bridge_name,
                const cJSON *db, struct sc_err *err)
{
    const cJSON *bridge =
        bridge_name ? row_named(ovsdb_rows(db, T_BRIDGE), bridge_name) : NULL;
    cJSON *ops;
    if (want->kind != OVS_BRIDGE && !bridge) {
        sc_fail(err, -ENOENT, "ovs: bridge '%s' is not there",
                bridge_name ? bridge_name : "(none)");
        return NULL;
    }
    ops = cJSON_CreateArray();
    switch (want->kind) {
    case OVS_BRIDGE:
        diff_bridge(want, db, ops);
        break;
    case OVS_MESH:
        diff_mesh(want, bridge, db, ops);
        break;
    case OVS_ADD: {
        cJSON *ids = cJSON_CreateObject();
        cJSON_AddStringToObject(ids, "iface-id", want->port_id);
        if (want->vm_id)
            cJSON_AddStringToObject(ids, "vm-id", want->vm_id);
        diff_port(bridge, db, ops, 0, want->names[0], "", NULL, ids);
        break;
    }
    case OVS_DEL: {
        const cJSON *p = row_named(ovsdb_rows(db, T_PORT), want->names[0]);
        if (p && set_has(bridge, "ports", row_uuid(p), NULL))
            ovsdb_mutate(ops, "Bridge", row_uuid(bridge), "ports", "delete",
                         set1(uuid_ref(row_uuid(p))));
        break;
    }
    case OVS_RETAIN:
        diff_retain(want, bridge, db, ops, "sc");
        break;
    }
    return ops;
}

/* ovs_diff - what to change in an OVSDB so that it is what was asked for.
 *
 * Used by ovs.c, which talks to the database.  Pure.  cJSON arguments called
 * 'ops', 'where' and 'value' are taken (or appended to); others are borrowed.
 * Out of memory: cJSON's NULLs make an incomplete transaction, which the
 * database refuses as a whole.
 * Source: RFC 7047 section 5; ovs-vswitchd.conf.db(5). */
#ifndef SC_NODE_OVS_DIFF_H
#define SC_NODE_OVS_DIFF_H

#include "node/ovs.h"

#include <cjson/cJSON.h>

enum ovs_kind { OVS_BRIDGE, OVS_MESH, OVS_ADD, OVS_DEL, OVS_RETAIN };

/* One operation of ovs.h as data. */
struct ovs_wanted {
    enum ovs_kind kind;
    struct ovs_bridge bridge; /* OVS_BRIDGE. */
    char *port_id, *vm_id;    /* OVS_ADD; 'vm_id' may be NULL. */
    char **names;             /* Ports; one for OVS_ADD and OVS_DEL. */
    char **addresses;         /* OVS_MESH: beside 'names'. */
    size_t n_names;
};

/* The selects whose result array ovs_diff takes as 'db'. */
cJSON *ovs_read_ops(void);
/* The operations that make the database what 'want' says: an empty array when
 * it is so already.  'bridge' (NULL: none) is ours for all but OVS_BRIDGE.
 * NULL with 'err' filled: -ENOENT, there is no such bridge. */
cJSON *ovs_diff(const struct ovs_wanted *want, const char *bridge_name,
                const cJSON *db, struct sc_err *err) SC_MUST_CHECK;

/* Building blocks of a transaction. */
cJSON *ovsdb_list1(cJSON *a);
cJSON *ovsdb_op(cJSON *ops, const char *name, const char *table);
cJSON *ovsdb_where(const char *column, const char *function, cJSON *value);
/* 'uuid' NULL: every row (Open_vSwitch has one). */
void ovsdb_mutate(cJSON *ops, const char *table, const char *uuid,
                  const char *column, const char *mutator, cJSON *value);
void ovsdb_select(cJSON *ops, const char *table, cJSON *where,
                  const char *const columns[]);
/* Rows of the i'th operation's result; NULL: none. */
const cJSON *ovsdb_rows(const cJSON *result, int i);
const char *ovsdb_row_str(const cJSON *row, const char *column);
int64_t ovsdb_row_int(const cJSON *row, const char *column, int64_t def);

#endif

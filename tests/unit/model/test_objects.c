/* Tests of daemons/model/objects.c. */
#include "model/objects.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(objects, a_vm_comes_back_from_json_as_it_was)
{
    SC_AUTO(free) struct vm *v = calloc(1, sizeof *v);
    SC_AUTO(free) struct vm *back = calloc(1, sizeof *back);
    sc_uuid_new(v->id);
    OBJ_SET(v->name, "hello");
    v->state = VM_MIGRATING;
    v->nid = 7;
    v->last_nid = 65535;
    v->epoch = UINT32_MAX;
    v->last_epoch = 12;
    v->memory_mib = 1024;
    v->vcpus = 3;
    OBJ_SET(v->cmdline, "console=hvc0 \"quoted\" \\ \xe2\x82\xac");
    OBJ_SET(v->error, "line\nbreak");
    v->n_volumes = VM_VOLUMES_MAX;
    for (uint32_t i = 0; i < v->n_volumes; i++) {
        sc_uuid_new(v->volumes[i].id);
        snprintf(v->volumes[i].dev, sizeof v->volumes[i].dev, "xvd%c",
                 'a' + (int)i);
        v->volumes[i].size = UINT64_C(1) << 50;
    }
    v->n_ports = 1;
    OBJ_SET(v->ports[0].ip, "10.0.0.1");
    SC_AUTO(cjson_free) cJSON *j = vm_to_json(v);
    struct sc_err err;
    cr_assert_eq(vm_from_json(j, back, &err), 0, "%s", err.text);
    cr_expect(!memcmp(v, back, sizeof *v));
}

Test(objects, bad_stored_forms_are_refused_with_the_field)
{
    static const struct {
        const char *json, *names;
    } cases[] = {
        { "[]", "node" },
        { "{\"state\":\"up\",\"nid\":70000}", "nid" },
        { "{\"state\":\"flying\"}", "state" },
        { "{\"state\":\"up\",\"name\":5}", "name" },
        { "{}", "state" },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        SC_AUTO(cjson_free) cJSON *j = cJSON_Parse(cases[i].json);
        struct node n;
        struct sc_err err = { 0 };
        cr_expect_eq(node_from_json(j, &n, &err), -EINVAL, "%s", cases[i].json);
        cr_expect(strstr(err.text, cases[i].names), "'%s' does not name '%s'",
                  err.text, cases[i].names);
    }
}

Test(objects, a_port_has_its_interface_and_address_from_its_id)
{
    char iface[16], mac[18];
    port_iface("0a1b2c3d-4e5f-4061-8273-849546576879", iface);
    port_mac("0a1b2c3d-4e5f-4061-8273-849546576879", mac);
    cr_expect_str_eq(iface, "sc0a1b2c3d4e");
    cr_expect_str_eq(mac, "02:0a:1b:2c:3d:4e");
}

Test(objects, text_is_cut_between_characters)
{
    char small[6];
    obj_copy(small, sizeof small, "abcd\xe2\x82\xac");
    cr_expect_str_eq(small, "abcd");
    obj_copy(small, sizeof small, "ab\xe2\x82\xac");
    cr_expect_str_eq(small, "ab\xe2\x82\xac");
}

/* Tests of daemons/controller/registry.c, errand.c, networks.c and views.c. */
#include "world.h"

#include "scheduler/place.h"

Test(registry, hello_is_for_nodes_of_the_registry_only)
{
    SC_AUTO(world_free) struct world *w = world_new();
    SC_AUTO(cjson_free) cJSON *p = cJSON_CreateObject();
    cJSON *answer = NULL;
    struct sc_err err;
    uint16_t nid;
    cr_expect_eq(ctl_hello(w->ctl, PROGRAM_NODE,
                           "00000000-0000-4000-8000-000000000009", p, &nid,
                           &answer, &err),
                 -ENOENT);
    cJSON_AddStringToObject(p, "cpus", "many");
    cr_expect_eq(
        ctl_hello(w->ctl, PROGRAM_NODE, w->nodes[1].id, p, &nid, &answer, &err),
        -EINVAL);
    cr_expect(strstr(err.text, "cpus"), "%s", err.text);
    SC_AUTO(cjson_free) cJSON *q = cJSON_Parse("{\"address\":\"evil;rm\"}");
    cr_expect_eq(
        ctl_hello(w->ctl, PROGRAM_NODE, w->nodes[1].id, q, &nid, &answer, &err),
        -EINVAL);
    cr_expect(strstr(err.text, "address"), "%s", err.text);
    cr_expect_str_eq(ctl_node_by_nid(w->ctl, 1)->n.address, "10.0.0.1");
}

Test(registry, a_clock_set_back_does_not_keep_a_dead_node_up)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_run(w, 5000);
    w->clock_off = -3600 * 1000;
    world_run(w, 1000);
    cr_expect_eq(ctl_node_by_nid(w->ctl, 1)->n.state, NODE_UP);
    world_unlink(w, 1);
    world_run(w, 20000);
    cr_expect_eq(ctl_node_by_nid(w->ctl, 1)->n.state, NODE_DOWN);
    cr_expect_eq(ctl_node_by_nid(w->ctl, 2)->n.state, NODE_UP);
}

Test(registry, a_clock_set_forward_takes_no_node_down)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n1");
    w->clock_off = 3600 * 1000;
    for (int i = 0; i < 100; i++) {
        world_run(w, 50);
        cr_assert_eq(ctl_node_by_nid(w->ctl, 1)->n.state, NODE_UP);
        cr_assert_eq(world_vm(w, "a")->state, VM_RUNNING);
    }
}

Test(registry, a_clock_set_back_holds_up_no_job)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n1");
    world_unlink(w, 1);
    world_run(w, 500);
    cr_assert_eq(world_op(w, "vm.stop", "{\"id\":\"a\"}"), 0);
    world_run(w, 1000);
    w->clock_off = -3600 * 1000; /* The job waits for sc-node, by a timer. */
    world_link(w, 1);
    world_run(w, 30000);
    cr_expect_eq(world_vm(w, "a")->state, VM_STOPPED);
}

Test(registry, bad_heartbeats_change_nothing)
{
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"memory_free_mib\":-1,\"vms\":[]}",
        "{\"memory_free_mib\":1,\"vms\":5}",
        "{\"memory_free_mib\":1e300,\"vms\":[]}",
    };
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n1");
    for (size_t i = 0; i < SC_ARRAY_LEN(bad); i++) {
        SC_AUTO(cjson_free) cJSON *p = cJSON_Parse(bad[i]);
        for (int k = 0; k < 5; k++)
            ctl_heartbeat(w->ctl, 1, p);
        cr_expect_eq(world_vm(w, "a")->state, VM_RUNNING, "%s", bad[i]);
    }
    SC_AUTO(cjson_free)
    cJSON *half = cJSON_Parse(
        "{\"memory_free_mib\":5,\"vms\":[7,{\"vm_id\":3},{}],\"rtt\":[{\"nid\":"
        "2,\"rtt_ms\":-3},{\"nid\":9,\"rtt_ms\":1},{\"nid\":2,\"rtt_ms\":\"x\"}"
        ",null]}");
    double before = ctl_rtt(w->ctl, 1, 2);
    ctl_heartbeat(w->ctl, 1, half);
    cr_expect_eq(ctl_node_by_nid(w->ctl, 1)->n.memory_free_mib, 5u);
    cr_expect_float_eq(ctl_rtt(w->ctl, 1, 2), before, 0.001);
    cr_expect_lt(ctl_rtt(w->ctl, 1, 9), 0);
}

Test(registry, latencies_of_many_nodes_are_kept_and_forgotten_with_them)
{
    enum { N = 120 };
    SC_AUTO(world_free) struct world *w = world_new();
    size_t own = w->ctl->latencies.n; /* Of the world's own nodes. */
    struct ctl_txn *x = ctl_txn_begin(w->ctl);
    for (uint16_t nid = 101; nid <= 100 + N; nid++) {
        struct node n = { .nid = nid, .state = NODE_DOWN };
        sc_uuid_new(n.id);
        snprintf(n.name, sizeof n.name, "m%u", nid);
        ctl_node_add(w->ctl, x, &n);
    }
    cr_assert_eq(ctl_txn_commit(x, NULL), 0);
    for (int round = 0; round < 2; round++) {
        for (uint16_t nid = 100 + N; nid > 100; nid--) {
            SC_AUTO(cjson_free)
            cJSON *p = cJSON_Parse("{\"memory_free_mib\":1,\"vms\":[]}");
            cJSON *rtt = cJSON_AddArrayToObject(p, "rtt");
            for (uint16_t to = 101; to <= 100 + N; to++) {
                cJSON *one = cJSON_CreateObject();
                json_set_u64(one, "nid", to);
                json_set_u64(one, "rtt_ms", (uint64_t)nid + 2 * to + round);
                cJSON_AddItemToArray(rtt, one);
            }
            ctl_heartbeat(w->ctl, nid, p);
        }
    }
    cr_expect_eq(w->ctl->latencies.n, own + N * (N - 1));
    for (uint16_t a = 101; a <= 100 + N; a += 7) {
        for (uint16_t b = 102; b <= 100 + N; b += 5)
            if (a != b)
                cr_assert_float_eq(ctl_rtt(w->ctl, a, b),
                                   (a + 2 * b + 1 + b + 2 * a + 1) / 2.0, 1e-9,
                                   "%u %u", a, b);
    }
    struct sc_err err;
    struct ctl_node *gone = ctl_node_by_nid(w->ctl, 150);
    gone->n.state = NODE_DOWN;
    cr_assert_eq(ctl_node_remove(w->ctl, gone, &err), 0);
    cr_expect_eq(w->ctl->latencies.n, own + (N - 1) * (N - 2));
    cr_expect_lt(ctl_rtt(w->ctl, 150, 101), 0);
    cr_expect_gt(ctl_rtt(w->ctl, 151, 101), 0);
}

Test(registry, latencies_lead_the_placement)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_run(w, 5000);
    cr_expect_float_eq(ctl_rtt(w->ctl, 1, 3), 40, 0.001);
    cr_expect_float_eq(ctl_rtt(w->ctl, 2, 3), 50, 0.001);
    w->nodes[3].memory_mib = 10;
    world_run(w, 3000);
    cr_assert_eq(world_op(w, "vm.create",
                          "{\"name\":\"a\",\"image\":\"img\",\"memory_mib\":"
                          "128,\"region\":\"jp\"}"),
                 0);
    world_run(w, 3000);
    cr_expect_eq(world_vm(w, "a")->nid, 1, "jp is full; n1 is nearest to it");
}

Test(registry, a_vm_that_runs_with_an_old_epoch_is_ended)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n1");
    cr_assert_eq(world_op(w, "vm.stop", "{\"id\":\"a\"}"), 0);
    world_run(w, 3000);
    cr_assert_eq(world_op(w, "vm.start", "{\"id\":\"a\"}"), 0);
    world_run(w, 3000);
    const struct vm *v = world_vm(w, "a");
    cr_assert_eq(v->epoch, 2);
    /* A ghost of its first run; paused, so that the world's rule holds. */
    wnode_run(&w->nodes[2], v->id, 1);
    wnode_vm(&w->nodes[2], v->id)->running = false;
    SC_AUTO(cjson_free) cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "vm_id", v->id);
    json_set_u64(p, "epoch", 1);
    cJSON_AddStringToObject(p, "state", "running");
    ctl_vm_state(w->ctl, 2, p);
    ctl_vm_state(w->ctl, 2, p);
    world_run(w, 3000);
    cr_expect_eq(w->nodes[2].n_vms, (size_t)0);
    cr_expect_eq(world_vm(w, "a")->state, VM_RUNNING);
    cr_expect_eq(w->nodes[1].n_vms, (size_t)1);
}

Test(registry, a_guest_that_powers_itself_off_is_stopped)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n1");
    const struct vm *v = world_vm(w, "a");
    SC_AUTO(cjson_free) cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "vm_id", v->id);
    json_set_u64(p, "epoch", v->epoch);
    cJSON_AddStringToObject(p, "state", "stopped");
    cJSON_AddStringToObject(p, "reason", "it powered off");
    wnode_forget(&w->nodes[1], v->id);
    ctl_vm_state(w->ctl, 2, p);
    cr_expect_eq(v->state, VM_RUNNING, "another node has no say in it");
    ctl_vm_state(w->ctl, 1, p);
    cr_expect_eq(v->state, VM_STOPPED);
    cr_expect_eq(v->nid, 0);
    cr_expect_str_eq(v->error, "it powered off");
}

Test(registry, a_node_is_deleted_when_it_is_down_and_empty)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n2");
    world_unlink(w, 2);
    world_unlink(w, 3);
    world_run(w, 10000);
    cr_expect_eq(world_op(w, "node.delete", "{\"id\":\"n1\"}"), -EBUSY);
    cr_expect_eq(world_op(w, "node.delete", "{\"id\":\"n2\"}"), -EBUSY);
    cr_expect_eq(world_op(w, "node.delete", "{\"id\":\"n3\"}"), 0);
    cr_expect_str_eq(w->network_note, "net.node_del");
    cr_expect_str_eq(
        cJSON_GetStringValue(cJSON_GetObjectItem(w->network_params, "id")),
        w->nodes[3].id);
    cr_expect_eq(world_op(w, "node.show", "{\"id\":\"n3\"}"), -ENOENT);
    world_link(w, 3);
    world_run(w, 3000);
    cr_expect(!w->nodes[3].connected, "its certificate opens nothing now");
    struct sc_err err;
    cJSON *answer = NULL;
    SC_AUTO(cjson_free)
    cJSON *open = cJSON_CreateObject();
    cJSON_AddStringToObject(open, "volume_id", world_vm(w, "a")->volumes[0].id);
    cJSON_AddStringToObject(open, "mode", "ro");
    cr_expect_eq(ctl_view(w->ctl, 3, "view.open", open, &answer, &err), -EACCES,
                 "nor does a connection that it still has");
    cr_expect_eq(ctl_view(w->ctl, 1, "view.open", open, &answer, &err), 0);
    cJSON_Delete(answer);
}

Test(registry, addresses_of_a_network_are_given_once_and_again_when_free)
{
    SC_AUTO(world_free) struct world *w = world_new();
    static const char vm[] = "{\"name\":\"v%d\",\"image\":\"img\",\"network\":"
                             "\"tiny\",\"memory_mib\":16}";
    cr_assert_eq(world_op(w, "network.create",
                          "{\"name\":\"tiny\",\"cidr\":\"10.9.0.0/29\"}"),
                 0);
    for (int i = 0; i < 5; i++) {
        char text[160];
        snprintf(text, sizeof text, vm, i);
        cr_assert_eq(world_op(w, "vm.create", "%s", text), 0, "%s",
                     w->op_err.text);
    }
    cr_expect_eq(world_op(w, "vm.create", vm, 9), -ENOSPC);
    cr_expect(strstr(w->op_err.text, "no address is free"), "%s",
              w->op_err.text);
    world_run(w, 5000);
    char ip[16];
    OBJ_SET(ip, world_vm(w, "v2")->ports[0].ip);
    cr_assert_eq(world_op(w, "vm.delete", "{\"id\":\"v2\"}"), 0);
    world_run(w, 5000);
    cr_assert_eq(world_op(w, "vm.create", vm, 9), 0, "%s", w->op_err.text);
    cr_expect_str_eq(world_vm(w, "v9")->ports[0].ip, ip);
}

Test(registry, users_and_sessions_are_kept_for_the_console_alone)
{
    SC_AUTO(world_free) struct world *w = world_new();
    const struct api_caller console = { "", API_ROLE_ADMIN };
    static const struct {
        const char *op, *params;
        int want;
    } story[] = {
        { "user.get", "{\"user\":\"eve\"}", -ENOENT },
        { "user.set", "{\"user\":\"eve\",\"role\":\"viewer\",\"hash\":\"h\"}",
          0 },
        { "user.get", "{\"user\":\"eve\"}", 0 },
        { "session.put",
          "{\"id\":\"s1\",\"user\":\"eve\",\"expires_at\":1,\"used_at\":1}",
          0 },
        { "session.put", "{\"id\":\"s2\",\"user\":\"eve\",\"expires_at\":9e12}",
          0 },
        { "session.get", "{\"id\":\"s1\"}", -ENOENT }, /* Over, so dropped. */
        { "session.get", "{\"id\":\"s2\"}", 0 },
        { "user.del", "{\"user\":\"eve\"}", 0 },
        { "session.get", "{\"id\":\"s2\"}", -ENOENT },
        { "user.del", "{\"user\":\"eve\"}", -ENOENT },
        { "user.set", "{}", -EINVAL },
        { "session.del", "{\"id\":\"never\"}", 0 },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(story); i++) {
        SC_AUTO(cjson_free) cJSON *p = cJSON_Parse(story[i].params);
        ctl_op(w->ctl, story[i].op, &console, p, world_op_done, w);
        cr_expect_eq(w->op_err.code, story[i].want, "line %zu, %s: %s", i,
                     story[i].op, w->op_err.text);
    }
}

Test(registry, everything_is_there_again_after_a_restart)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n2");
    cr_assert_eq(world_op(w, "overview", "{}"), 0);
    SC_AUTO(cjson_free) cJSON *vm = ctl_vm_json(w->ctl, world_vm(w, "a"));
    world_kill_controller(w);
    world_run(w, 10000);
    SC_AUTO(cjson_free) cJSON *again = ctl_vm_json(w->ctl, world_vm(w, "a"));
    cr_expect(cJSON_Compare(vm, again, true));
    cr_expect_eq(w->ctl->nodes.n, (size_t)3);
    cr_expect(ctl_network_find(w->ctl, "net"));
    cr_expect(ctl_image_find(w->ctl, "img"));
    cr_expect_eq(w->ctl->jobs.n, (size_t)1);
}

/* Tests of daemons/controller/vm_job.c, ops_vm.c and jobs.c: the life of a VM,
 * refusals, and the controller dying after any commit; see world.h. */
#include "world.h"

enum { LONG = 120000 };

static const char create_a[] =
    "{\"name\":\"a\",\"image\":\"img\",\"network\":\"net\",\"memory_mib\":"
    "128,\"node\":\"n1\"}";

/* Everything that VMs can leave behind. */
static unsigned n_records(struct world *w, const char *table);

static int add_one(void *arg, struct store_slice key, struct store_slice value)
{
    (void)key;
    (void)value;
    ++*(unsigned *)arg;
    return 0;
}

static unsigned n_records(struct world *w, const char *table)
{
    SC_AUTO(store_abort) struct store_txn *t = NULL;
    unsigned n = 0;
    cr_assert_eq(store_begin(w->ctl->store, false, &t, NULL), 0);
    store_each(t, table, (struct store_slice){ "", 0 }, add_one, &n);
    return n;
}

Test(vm_job, create_stop_start_and_delete)
{
    SC_AUTO(world_free) struct world *w = world_new();
    uint16_t at = 0;
    world_make_vm(w, "a", "n2");
    const struct vm *v = world_vm(w, "a");
    cr_expect_eq(world_places(w, v->id, &at), 1);
    cr_expect_eq(at, 2);
    cr_expect_str_eq(v->ports[0].ip, "10.1.0.10");
    cr_expect_eq(v->epoch, 1);
    cr_assert_eq(world_op(w, "vm.stop", "{\"id\":\"a\"}"), 0);
    cr_expect_eq(world_wait_job(w, LONG)->state, JOB_DONE);
    cr_expect_eq(v->state, VM_STOPPED);
    cr_expect_eq(v->nid, 0);
    cr_expect_eq(world_places(w, v->id, NULL), 0);
    cr_assert_eq(world_op(w, "vm.start", "{\"id\":\"a\"}"), 0);
    cr_expect_eq(world_wait_job(w, LONG)->state, JOB_DONE);
    cr_expect_eq(v->state, VM_RUNNING);
    cr_expect_eq(v->nid, 2, "it starts where its blocks are");
    cr_expect_eq(v->epoch, 2);
    char volume[OBJ_ID];
    OBJ_SET(volume, v->volumes[0].id);
    cr_assert_eq(world_op(w, "vm.delete", "{\"id\":\"a\"}"), 0);
    cr_expect_eq(world_wait_job(w, LONG)->state, JOB_DONE);
    cr_expect_eq(w->ctl->vms.n, (size_t)0);
    cr_expect_eq(n_records(w, "volumes"), 1, "the image's");
    world_run(w, 10000);
    for (uint16_t i = 1; i <= WORLD_NODES; i++) {
        cr_expect_eq(w->nodes[i].n_vms, (size_t)0);
        cr_assert_eq(w->nodes[i].n_deleted, (size_t)1, "node %u", i);
        cr_expect_str_eq(w->nodes[i].volumes_deleted[0], volume);
    }
    cr_expect_eq(n_records(w, "errand"), 0);
}

Test(vm_job, create_without_room_says_so_at_once_and_leaves_nothing)
{
    SC_AUTO(world_free) struct world *w = world_new();
    unsigned volumes = n_records(w, "volumes"), jobs = n_records(w, "jobs");
    cr_expect_eq(world_op(w, "vm.create",
                          "{\"name\":\"big\",\"image\":\"img\",\"network\":"
                          "\"net\",\"memory_mib\":2000}"),
                 -ENOSPC);
    cr_expect(strstr(w->op_err.text, "n1: 1024 MiB free") &&
                  strstr(w->op_err.text, "n3: 1024 MiB free"),
              "%s", w->op_err.text);
    cr_expect_eq(w->ctl->vms.n, (size_t)0);
    cr_expect_eq(n_records(w, "vms"), 0);
    cr_expect_eq(n_records(w, "volumes"), volumes);
    cr_expect_eq(n_records(w, "jobs"), jobs);
    world_make_vm(w, "a", "n1");
    cr_expect_str_eq(world_vm(w, "a")->ports[0].ip, "10.1.0.10",
                     "no address was lost");
}

Test(vm_job, what_is_promised_cannot_be_promised_again)
{
    SC_AUTO(world_free) struct world *w = world_new();
    static const char big[] = "{\"name\":\"%s\",\"image\":\"img\",\"memory_mib"
                              "\":600,\"node\":\"n1\"}";
    const struct api_caller who = { "t", API_ROLE_ADMIN };
    char text[256];
    snprintf(text, sizeof text, big, "a");
    SC_AUTO(cjson_free) cJSON *p = cJSON_Parse(text);
    ctl_op(w->ctl, "vm.create", &who, p, world_op_done, w);
    cr_expect_eq(w->op_err.code, 0);
    cr_expect_eq(world_op(w, "vm.create", big, "b"), -ENOSPC, "%s",
                 w->op_err.text);
    world_run(w, 10000);
    cr_expect_eq(world_op(w, "vm.create", big, "b"), -ENOSPC);
    cr_expect_eq(world_op(w, "vm.create",
                          "{\"name\":\"b\",\"image\":\"img\",\"memory_mib\":"
                          "600,\"region\":\"us\"}"),
                 0);
    world_run(w, 3000);
    cr_expect_eq(world_vm(w, "b")->nid, 2);
}

static const struct {
    const char *name, *params;
    int want;
    const char *text;
} refusals[] = {
    { "no name", "{\"image\":\"img\",\"memory_mib\":64}", -EINVAL, "name" },
    { "bad name", "{\"name\":\"a b\",\"image\":\"img\",\"memory_mib\":64}",
      -EINVAL, "'name'" },
    { "unknown image", "{\"name\":\"a\",\"image\":\"x\",\"memory_mib\":64}",
      -ENOENT, "image 'x'" },
    { "unknown network",
      "{\"name\":\"a\",\"image\":\"img\",\"network\":\"x\",\"memory_mib\":64}",
      -ENOENT, "network 'x'" },
    { "unknown node",
      "{\"name\":\"a\",\"image\":\"img\",\"node\":\"x\",\"memory_mib\":64}",
      -ENOENT, "node 'x'" },
    { "a region that no node is in",
      "{\"name\":\"a\",\"image\":\"img\",\"region\":\"mars\",\"memory_mib\":"
      "64}",
      -ENOENT, "region 'mars'" },
    { "unknown key",
      "{\"name\":\"a\",\"image\":\"img\",\"memory\":64,\"memory_mib\":64}",
      -EINVAL, "memory" },
    { "no memory", "{\"name\":\"a\",\"image\":\"img\",\"memory_mib\":0}",
      -EINVAL, "memory_mib" },
    { "memory as text",
      "{\"name\":\"a\",\"image\":\"img\",\"memory_mib\":\"64\"}", -EINVAL,
      "memory_mib" },
};

Test(vm_job, bad_requests_name_what_is_bad_and_leave_nothing)
{
    SC_AUTO(world_free) struct world *w = world_new();
    for (size_t i = 0; i < SC_ARRAY_LEN(refusals); i++) {
        cr_expect_eq(world_op(w, "vm.create", "%s", refusals[i].params),
                     refusals[i].want, "case '%s': %s", refusals[i].name,
                     w->op_err.text);
        cr_expect(strstr(w->op_err.text, refusals[i].text), "case '%s': %s",
                  refusals[i].name, w->op_err.text);
        cr_expect_eq(w->ctl->vms.n, (size_t)0);
    }
    world_make_vm(w, "a", "n1");
    cr_expect_eq(world_op(w, "vm.create", "%s", create_a), -EEXIST);
    cr_expect_eq(world_op(w, "vm.start", "{\"id\":\"a\"}"), -EBUSY);
    cr_expect_eq(world_op(w, "image.delete", "{\"id\":\"img\"}"), -EBUSY);
    cr_expect_eq(world_op(w, "network.delete", "{\"id\":\"net\"}"), -EBUSY);
    cr_expect_eq(world_op(w, "node.delete", "{\"id\":\"n1\"}"), -EBUSY);
}

Test(vm_job, a_viewer_may_look_and_no_more)
{
    SC_AUTO(world_free) struct world *w = world_new();
    const struct api_caller viewer = { "v", API_ROLE_VIEWER };
    SC_AUTO(cjson_free) cJSON *p = cJSON_Parse(create_a);
    ctl_op(w->ctl, "vm.list", &viewer, p, world_op_done, w);
    cr_expect_eq(w->op_err.code, 0);
    ctl_op(w->ctl, "vm.create", &viewer, p, world_op_done, w);
    cr_expect_eq(w->op_err.code, -EACCES);
    ctl_op(w->ctl, "user.list", &viewer, p, world_op_done, w);
    cr_expect_eq(w->op_err.code, -EACCES);
    const struct api_caller admin = { "root", API_ROLE_ADMIN };
    ctl_op(w->ctl, "user.list", &admin, p, world_op_done, w);
    cr_expect_eq(w->op_err.code, -EACCES, "internal: hashes are in it");
    ctl_op(w->ctl, "vm.fly", &admin, p, world_op_done, w);
    cr_expect_eq(w->op_err.code, -ENOSYS);
}

Test(vm_job, a_guest_that_does_not_start_is_failed_with_the_reason)
{
    SC_AUTO(world_free) struct world *w = world_new();
    w->nodes[1].fail_start = -EIO;
    cr_assert_eq(world_op(w, "vm.create", "%s", create_a), 0);
    const struct job *job = world_wait_job(w, LONG);
    cr_expect_eq(job->state, JOB_FAILED);
    const struct vm *v = world_vm(w, "a");
    cr_expect_eq(v->state, VM_FAILED);
    cr_expect_eq(v->nid, 0);
    cr_expect_str_eq(v->error, "the kernel does not boot");
    cr_expect_eq(world_places(w, v->id, NULL), 0);
    cr_assert_eq(world_op(w, "vm.start", "{\"id\":\"a\"}"), 0);
    cr_expect_eq(world_wait_job(w, LONG)->state, JOB_DONE);
    cr_expect_eq(v->state, VM_RUNNING);
    cr_expect_str_eq(v->error, "");
}

Test(vm_job, a_vm_of_a_lost_node_is_unknown_and_comes_back)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n2");
    world_unlink(w, 2);
    world_run(w, 4000);
    cr_expect_eq(ctl_node_find(w->ctl, "n2")->n.state, NODE_UP,
                 "two heartbeats may be late");
    world_run(w, 6000);
    cr_expect_eq(ctl_node_find(w->ctl, "n2")->n.state, NODE_DOWN);
    cr_expect_eq(world_vm(w, "a")->state, VM_UNKNOWN);
    cr_expect_eq(world_op(w, "vm.start", "{\"id\":\"a\"}"), -EBUSY,
                 "it may still run");
    cr_expect_eq(world_op(w, "vm.delete", "{\"id\":\"a\"}"), -EHOSTUNREACH);
    world_link(w, 2);
    world_run(w, 5000);
    cr_expect_eq(ctl_node_find(w->ctl, "n2")->n.state, NODE_UP);
    cr_expect_eq(world_vm(w, "a")->state, VM_RUNNING);
}

Test(vm_job, a_vm_that_died_with_its_node_is_failed_and_can_start_again)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n2");
    world_kill_node(w, 2);
    world_run(w, 10000);
    world_boot_node(w, 2);
    world_run(w, 10000);
    cr_expect_eq(world_vm(w, "a")->state, VM_FAILED);
    cr_assert_eq(world_op(w, "vm.start", "{\"id\":\"a\"}"), 0);
    cr_expect_eq(world_wait_job(w, LONG)->state, JOB_DONE);
}

Test(vm_job, a_vm_given_up_by_force_is_ended_when_its_node_is_back)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n2");
    world_unlink(w, 2);
    world_run(w, 10000);
    cr_assert_eq(world_op(w, "vm.delete", "{\"id\":\"a\",\"force\":true}"), 0,
                 "%s", w->op_err.text);
    cr_expect_eq(world_wait_job(w, LONG)->state, JOB_DONE);
    cr_expect_eq(w->nodes[2].n_vms, (size_t)1, "it cannot know yet");
    world_link(w, 2);
    world_run(w, 10000);
    cr_expect_eq(w->nodes[2].n_vms, (size_t)0);
    cr_expect_eq(n_records(w, "errand"), 0);
}

Test(vm_job, a_node_that_dies_while_a_vm_starts_there_ends_the_job)
{
    SC_AUTO(world_free) struct world *w = world_new();
    cr_assert_eq(world_op(w, "vm.create", "%s", create_a), 0);
    world_kill_node(w, 1);
    const struct job *job = world_wait_job(w, 600000);
    cr_expect_eq(job->state, JOB_FAILED);
    cr_expect_eq(world_vm(w, "a")->state, VM_UNKNOWN);
    world_boot_node(w, 1);
    world_run(w, 20000);
    cr_expect_eq(world_vm(w, "a")->state, VM_FAILED);
    cr_expect_eq(w->nodes[1].n_vms, (size_t)0);
}

/* 'op' with 'params', the controller dying after its k-th commit, for all k;
 * 'check' looks at the end. */
static void crash_everywhere(const char *op, const char *params, bool make,
                             void (*check)(struct world *w, unsigned k))
{
    bool whole = false;
    for (unsigned k = 1; !whole; k++) {
        cr_assert_lt(k, 100);
        SC_AUTO(world_free) struct world *w = world_new();
        if (make)
            world_make_vm(w, "a", "n1");
        const struct api_caller who = { "t", API_ROLE_ADMIN };
        SC_AUTO(cjson_free) cJSON *p = cJSON_Parse(params);
        size_t n_jobs = w->ctl->jobs.n;
        w->crash_at = w->n_commits + k;
        ctl_op(w->ctl, op, &who, p, world_op_done, w);
        world_run(w, 30000);
        whole = w->crash_at != 0;
        cr_assert(w->ctl);
        cr_assert_eq(w->ctl->jobs.n, n_jobs + 1);
        cr_expect(job_ended(world_job(w)), "commit %u: %s is %s", k, op,
                  job_state_name(world_job(w)->state));
        check(w, k);
        cr_expect_eq(n_records(w, "errand"), 0, "commit %u", k);
    }
}

static void check_runs(struct world *w, unsigned k)
{
    const struct vm *v = world_vm(w, "a");
    cr_expect_eq(world_job(w)->state, JOB_DONE, "commit %u: %s", k,
                 world_job(w)->error);
    cr_expect_eq(v->state, VM_RUNNING, "commit %u: %s", k,
                 vm_state_name(v->state));
    cr_expect_eq(world_places(w, v->id, NULL), 1, "commit %u", k);
}

Test(vm_job, create_survives_a_controller_dying_after_any_commit)
{
    crash_everywhere("vm.create", create_a, false, check_runs);
}

static void check_stopped(struct world *w, unsigned k)
{
    const struct vm *v = world_vm(w, "a");
    cr_expect_eq(v->state, VM_STOPPED, "commit %u: %s", k,
                 vm_state_name(v->state));
    cr_expect_eq(world_places(w, v->id, NULL), 0, "commit %u", k);
}

Test(vm_job, stop_survives_a_controller_dying_after_any_commit)
{
    crash_everywhere("vm.stop", "{\"id\":\"a\"}", true, check_stopped);
}

static void check_gone(struct world *w, unsigned k)
{
    cr_expect_eq(w->ctl->vms.n, (size_t)0, "commit %u", k);
    cr_expect_eq(n_records(w, "vms"), 0, "commit %u", k);
    cr_expect_eq(n_records(w, "volumes"), 1, "commit %u", k);
    for (uint16_t i = 1; i <= WORLD_NODES; i++) {
        cr_expect_eq(w->nodes[i].n_vms, (size_t)0, "commit %u", k);
        cr_expect_geq(w->nodes[i].n_deleted, (size_t)1, "commit %u", k);
    }
}

Test(vm_job, delete_survives_a_controller_dying_after_any_commit)
{
    crash_everywhere("vm.delete", "{\"id\":\"a\"}", true, check_gone);
}

Test(vm_job, an_upload_cut_off_by_a_restart_leaves_no_image)
{
    SC_AUTO(world_free) struct world *w = world_new();
    cr_assert_eq(
        world_op(w, "image.create", "{\"name\":\"half\",\"size\":4096}"), 0);
    cr_assert_eq(world_op(w, "image.upload_begin", "{\"id\":\"half\"}"), 0);
    world_kill_controller(w);
    world_run(w, 10000);
    cr_expect_eq(ctl_image_find(w->ctl, "half"), NULL);
    cr_expect_eq(n_records(w, "images"), 1);
    cr_expect(ctl_image_find(w->ctl, "img"));
}

Test(vm_job, an_upload_of_another_size_or_digest_leaves_no_image)
{
    static const char *const uploads[] = {
        "{\"id\":\"half\",\"path\":\"/x\",\"size\":4095,\"sha256\":\"%064d\"}",
        "{\"id\":\"half\",\"path\":\"/x\",\"size\":4096,\"sha256\":\"%064d\"}",
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(uploads); i++) {
        SC_AUTO(world_free) struct world *w = world_new();
        cr_assert_eq(world_op(w, "image.create",
                              "{\"name\":\"half\",\"size\":4096,\"sha256\":"
                              "\"%064d\"}",
                              7),
                     0);
        cr_assert_eq(world_op(w, "image.upload_begin", "{\"id\":\"half\"}"), 0);
        char text[256];
        snprintf(text, sizeof text, uploads[i], i == 0 ? 7 : 8);
        cr_expect_eq(world_op(w, "image.upload", "%s", text), -EINVAL);
        cr_expect_eq(ctl_image_find(w->ctl, "half"), NULL);
        world_run(w, 10000);
        cr_expect_eq(n_records(w, "volumes"), 1);
    }
}

/* --- cancelling ---------------------------------------------------------- */

static int cancel(struct world *w)
{
    return world_op(w, "job.cancel", "{\"id\":\"%s\"}", world_job(w)->id);
}

Test(vm_job, a_creation_that_is_cancelled_leaves_nothing)
{
    unsigned n_cancelled = 0;
    for (uint64_t when = 0; when < 1000; when += 50) {
        SC_AUTO(world_free) struct world *w = world_new();
        unsigned volumes = n_records(w, "volumes");
        cr_assert_eq(world_op(w, "vm.create", "%s", create_a), 0);
        world_run(w, when);
        int r = cancel(w);
        const struct job *job = world_wait_job(w, LONG);
        if (r == -EALREADY) {
            cr_expect_eq(job->state, JOB_DONE);
            continue;
        }
        n_cancelled++;
        cr_expect_eq(r, 0, "%s", w->op_err.text);
        cr_expect_eq(job->state, JOB_CANCELLED, "at %lu ms: %s", when,
                     job_state_name(job->state));
        cr_expect_str_eq(job->error, "cancelled by test");
        world_run(w, 10000);
        cr_expect_eq(w->ctl->vms.n, (size_t)0);
        cr_expect_eq(n_records(w, "vms"), 0);
        cr_expect_eq(n_records(w, "volumes"), volumes);
        cr_expect_eq(n_records(w, "errand"), 0);
        for (uint16_t i = 1; i <= WORLD_NODES; i++)
            cr_expect_eq(w->nodes[i].n_vms, (size_t)0);
        cr_expect_eq(world_op(w, "vm.create", "%s", create_a), 0,
                     "its name is free again: %s", w->op_err.text);
        cr_expect_eq(world_wait_job(w, LONG)->state, JOB_DONE);
        cr_expect_str_eq(world_vm(w, "a")->ports[0].ip, "10.1.0.10");
    }
    cr_expect_gt(n_cancelled, 1u);
}

Test(vm_job, a_creation_cancelled_at_a_node_that_died_leaves_nothing_either)
{
    SC_AUTO(world_free) struct world *w = world_new();
    cr_assert_eq(world_op(w, "vm.create", "%s", create_a), 0);
    world_kill_node(w, 1);
    cr_expect_eq(cancel(w), 0, "%s", w->op_err.text);
    cr_expect_eq(world_wait_job(w, LONG)->state, JOB_CANCELLED);
    cr_expect_eq(w->ctl->vms.n, (size_t)0);
    world_boot_node(w, 1);
    world_run(w, 20000);
    cr_expect_eq(w->nodes[1].n_vms, (size_t)0);
    cr_expect_eq(n_records(w, "errand"), 0);
}

Test(vm_job, a_controller_killed_at_any_commit_of_a_cancelling_ends_it_well)
{
    bool whole = false;
    for (unsigned k = 1; !whole; k++) {
        SC_AUTO(world_free) struct world *w = world_new();
        cr_assert_lt(k, 30u);
        cr_assert_eq(world_op(w, "vm.create", "%s", create_a), 0);
        w->crash_at = w->n_commits + k;
        SC_AUTO(cjson_free) cJSON *p = cJSON_CreateObject();
        cJSON_AddStringToObject(p, "id", world_job(w)->id);
        ctl_op(w->ctl, "job.cancel",
               &(struct api_caller){ "t", API_ROLE_ADMIN }, p, world_op_done,
               w);
        world_run(w, 30000);
        whole = w->crash_at != 0;
        cr_expect_eq(world_wait_job(w, LONG)->state, JOB_CANCELLED, "commit %u",
                     k);
        cr_expect_eq(w->ctl->vms.n, (size_t)0, "commit %u", k);
        cr_expect_eq(w->nodes[1].n_vms, (size_t)0, "commit %u", k);
    }
}

Test(vm_job, a_start_that_is_cancelled_leaves_the_vm_stopped)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n1");
    cr_assert_eq(world_op(w, "vm.stop", "{\"id\":\"a\"}"), 0);
    world_wait_job(w, LONG);
    cr_assert_eq(world_op(w, "vm.start", "{\"id\":\"a\"}"), 0);
    cr_expect_eq(cancel(w), 0, "%s", w->op_err.text);
    cr_expect_eq(world_wait_job(w, LONG)->state, JOB_CANCELLED);
    const struct vm *v = world_vm(w, "a");
    cr_expect_eq(v->state, VM_STOPPED);
    cr_expect_str_eq(v->error, "");
    world_run(w, 10000);
    cr_expect_eq(world_places(w, v->id, NULL), 0u);
    cr_assert_eq(world_op(w, "vm.start", "{\"id\":\"a\"}"), 0);
    cr_expect_eq(world_wait_job(w, LONG)->state, JOB_DONE);
}

Test(vm_job, stopping_and_deleting_are_not_cancelled_and_say_why)
{
    static const char *const ops[] = { "vm.stop", "vm.delete" };
    for (size_t i = 0; i < SC_ARRAY_LEN(ops); i++) {
        SC_AUTO(world_free) struct world *w = world_new();
        world_make_vm(w, "a", "n1");
        cr_assert_eq(world_op(w, ops[i], "{\"id\":\"a\"}"), 0);
        cr_expect_eq(cancel(w), -EBUSY);
        cr_expect(strstr(w->op_err.text, "cannot be cancelled: "), "%s",
                  w->op_err.text);
        cr_expect_eq(world_wait_job(w, LONG)->state, JOB_DONE);
    }
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n1");
    cr_expect_eq(cancel(w), -EALREADY);
    cr_expect(strstr(w->op_err.text, "it is done"), "%s", w->op_err.text);
    cr_expect_eq(world_op(w, "job.cancel", "{\"id\":\"nothing\"}"), -ENOENT);
}

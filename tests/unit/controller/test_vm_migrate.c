/* Tests of daemons/controller/vm_migrate.c: the story of a migration with
 * every bad day that can happen to it; see world.h. */
#include "world.h"

enum { LONG = 60000 };

static int begin(struct world *w, const char *to)
{
    return world_op(w, "vm.migrate", "{\"id\":\"a\",\"node\":\"%s\"}", to);
}

static void expect_at(struct world *w, uint16_t nid)
{
    uint16_t at = 0;
    const struct vm *v = world_vm(w, "a");
    world_run(w, 10000);
    v = world_vm(w, "a");
    cr_expect_eq(world_places(w, v->id, &at), 1, "it runs at %u places",
                 world_places(w, v->id, &at));
    cr_expect_eq(at, nid, "it runs at %u, not at %u", at, nid);
    cr_expect_eq(v->nid, nid, "the controller says it is at %u, not %u", v->nid,
                 nid);
    cr_expect_eq(v->state, VM_RUNNING, "its state is %s",
                 vm_state_name(v->state));
    cr_expect_eq(v->epoch, wnode_vm(&w->nodes[nid], v->id)->epoch);
    cr_expect_str_eq(v->job, "");
    SC_AUTO(store_abort) struct store_txn *t = NULL;
    struct volume volume;
    cr_assert_eq(store_begin(w->ctl->store, false, &t, NULL), 0);
    cr_assert_eq(authority_get(t, v->volumes[0].id, &volume, NULL), 0);
    cr_expect_eq(volume.epoch, v->epoch, "its volume is of another epoch");
    cr_expect_eq(volume.nid, nid);
    cr_expect_eq(volume.next_epoch, 0);
}

Test(vm_migrate, moves_a_running_vm_and_back)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n1");
    cr_assert_eq(begin(w, "n3"), 0, "%s", w->op_err.text);
    cr_expect_eq(world_vm(w, "a")->state, VM_MIGRATING);
    const struct job *job = w->ctl->jobs.items[w->ctl->jobs.n - 1];
    cr_expect_str_eq(wstr(job->result, "from"), "n1", "while it runs");
    cr_expect_str_eq(wstr(job->result, "to"), "n3", "while it runs");
    job = world_wait_job(w, LONG);
    cr_expect_eq(job->state, JOB_DONE, "%s", job->error);
    cr_expect_gt(w->ctl->nodes.items[0]->moved_out, 0);
    cr_expect_eq(w->ctl->nodes.items[2]->moved_in,
                 w->ctl->nodes.items[0]->moved_out);
    cr_expect_eq(cJSON_GetObjectItem(job->result, "pause_ms")->valueint, 56);
    cr_expect_str_eq(wstr(job->result, "to"), "n3");
    expect_at(w, 3);
    cr_assert_eq(begin(w, "n1"), 0);
    cr_expect_eq(world_wait_job(w, LONG)->state, JOB_DONE);
    expect_at(w, 1);
}

Test(vm_migrate, refuses_at_once_what_cannot_be)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n1");
    cr_expect_eq(begin(w, "n1"), -EALREADY);
    cr_expect_eq(begin(w, "nowhere"), -ENOENT);
    cr_expect_eq(world_op(w, "vm.migrate", "{\"id\":\"b\",\"node\":\"n2\"}"),
                 -ENOENT);
    cr_expect_eq(world_op(w, "vm.migrate", "{\"id\":\"a\"}"), -EINVAL);
    cr_expect_eq(
        world_op(w, "vm.migrate", "{\"id\":\"a\",\"region\":\"mars\"}"),
        -ENOENT);
    w->nodes[2].memory_mib = 100;
    world_run(w, 3000);
    cr_expect_eq(begin(w, "n2"), -ENOSPC);
    cr_expect(strstr(w->op_err.text, "n2: 100 MiB free"), "%s", w->op_err.text);
    world_kill_node(w, 2);
    world_run(w, 10000);
    cr_expect_eq(begin(w, "n2"), -EHOSTUNREACH);
    cr_expect(strstr(w->op_err.text, "n2: down"), "%s", w->op_err.text);
    cr_expect_eq(world_vm(w, "a")->state, VM_RUNNING);
    cr_expect_eq(w->ctl->jobs.n, 1, "only vm.create is in the list");
    expect_at(w, 1);
}

Test(vm_migrate, a_second_job_on_the_same_vm_is_refused)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n1");
    cr_assert_eq(begin(w, "n3"), 0);
    cr_expect_eq(begin(w, "n2"), -EBUSY);
    cr_expect_eq(world_op(w, "vm.stop", "{\"id\":\"a\"}"), -EBUSY);
    cr_expect_eq(world_op(w, "vm.delete", "{\"id\":\"a\"}"), -EBUSY);
    world_wait_job(w, LONG);
    expect_at(w, 3);
}

Test(vm_migrate, goes_on_at_the_source_when_the_destination_dies)
{
    for (uint64_t when = 0; when < 2500; when += 50) {
        SC_AUTO(world_free) struct world *w = world_new();
        uint16_t at;
        world_make_vm(w, "a", "n1");
        cr_assert_eq(begin(w, "n3"), 0);
        world_run(w, when);
        const struct wmig *m = wnode_mig(&w->nodes[1], world_job(w)->id, true);
        bool given =
            m && (m->side == SIDE_UNCERTAIN || m->side == SIDE_RELEASED);
        bool taken = world_places(w, world_vm(w, "a")->id, &at) == 1 && at == 3;
        world_kill_node(w, 3);
        world_run(w, 20000);
        if (given || taken) {
            /* Past the point of no return: it waits for the destination's
             * word, and runs nowhere twice. */
            world_boot_node(w, 3);
            world_run(w, 30000);
            cr_expect(job_ended(world_job(w)), "at %lu ms: no end", when);
            continue;
        }
        const struct job *job = world_wait_job(w, LONG);
        cr_expect_eq(job->state, JOB_FAILED, "at %lu ms: %s", when,
                     job_state_name(job->state));
        cr_expect(strlen(job->error) > 0);
        expect_at(w, 1);
        cr_expect_eq(world_vm(w, "a")->epoch, 1);
        /* And it can move again, with an epoch never used before. */
        cr_assert_eq(begin(w, "n2"), 0, "%s", w->op_err.text);
        cr_expect_eq(world_wait_job(w, LONG)->state, JOB_DONE);
        cr_expect_gt(world_vm(w, "a")->epoch, 2);
        expect_at(w, 2);
    }
}

Test(vm_migrate, the_link_between_the_nodes_breaks_at_any_moment)
{
    for (uint64_t when = 0; when < 2500; when += 50) {
        SC_AUTO(world_free) struct world *w = world_new();
        uint16_t at = 0;
        world_make_vm(w, "a", "n1");
        cr_assert_eq(begin(w, "n3"), 0);
        world_run(w, when);
        world_cut(w, 1, 3, true);
        const struct job *job = world_wait_job(w, LONG);
        cr_expect(job_ended(job), "at %lu ms: no end", when);
        cr_expect_eq(world_places(w, world_vm(w, "a")->id, &at), 1, "at %lu ms",
                     when);
        expect_at(w, job->state == JOB_DONE ? 3 : 1);
    }
}

Test(vm_migrate, the_source_is_cut_off_from_all_and_comes_back)
{
    for (uint64_t when = 0; when < 2500; when += 50) {
        SC_AUTO(world_free) struct world *w = world_new();
        world_make_vm(w, "a", "n1");
        cr_assert_eq(begin(w, "n3"), 0);
        world_run(w, when);
        world_unlink(w, 1);
        world_cut(w, 1, 3, true);
        world_cut(w, 1, 2, true);
        world_run(w, 30000);
        world_link(w, 1);
        world_cut(w, 1, 3, false);
        world_cut(w, 1, 2, false);
        const struct job *job = world_wait_job(w, LONG);
        cr_expect(job_ended(job), "at %lu ms: no end", when);
        expect_at(w, job->state == JOB_DONE ? 3 : 1);
    }
}

/* It may have got COMMIT, and run: until it says, the source must not. */
Test(vm_migrate, the_destination_is_cut_off_from_all_and_comes_back)
{
    for (uint64_t when = 0; when < 2500; when += 50) {
        SC_AUTO(world_free) struct world *w = world_new();
        world_make_vm(w, "a", "n1");
        cr_assert_eq(begin(w, "n3"), 0);
        world_run(w, when);
        world_unlink(w, 3);
        world_cut(w, 1, 3, true);
        world_run(w, 30000);
        world_link(w, 3);
        world_cut(w, 1, 3, false);
        const struct job *job = world_wait_job(w, LONG);
        cr_expect(job_ended(job), "at %lu ms: no end", when);
        expect_at(w, job->state == JOB_DONE ? 3 : 1);
    }
}

Test(vm_migrate, the_controller_dies_after_any_commit)
{
    bool ended_well = false;
    for (unsigned k = 1; !ended_well; k++) {
        SC_AUTO(world_free) struct world *w = world_new();
        world_make_vm(w, "a", "n1");
        cr_assert_lt(k, 100);
        w->crash_at = w->n_commits + k;
        SC_AUTO(cjson_free)
        cJSON *p = cJSON_Parse("{\"id\":\"a\",\"node\":\"n3\"}");
        ctl_op(w->ctl, "vm.migrate",
               &(struct api_caller){ "t", API_ROLE_ADMIN }, p, world_op_done,
               w);
        world_run(w, 30000);
        cr_assert(w->ctl);
        const struct job *job = world_job(w);
        ended_well = w->crash_at != 0; /* It never came to commit k. */
        cr_expect(job_ended(job), "commit %u: no end", k);
        cr_expect(!strcmp(job->kind->name, "vm.migrate"));
        expect_at(w, job->state == JOB_DONE ? 3 : 1);
    }
}

Test(vm_migrate, the_controller_is_away_at_any_moment)
{
    for (uint64_t when = 0; when < 2500; when += 50) {
        SC_AUTO(world_free) struct world *w = world_new();
        world_make_vm(w, "a", "n1");
        cr_assert_eq(begin(w, "n3"), 0);
        world_run(w, when);
        world_kill_controller(w);
        world_run(w, 1500 + when);
        const struct job *job = world_wait_job(w, LONG);
        cr_expect(job_ended(job), "at %lu ms: no end", when);
        expect_at(w, job->state == JOB_DONE ? 3 : 1);
    }
}

Test(vm_migrate, without_sc_network_it_fails_and_stays)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n1");
    w->network = false;
    world_run(w, 1000);
    cr_assert_eq(begin(w, "n3"), 0);
    const struct job *job = world_wait_job(w, LONG);
    cr_expect_eq(job->state, JOB_FAILED);
    cr_expect_eq(job->error_code, -EHOSTUNREACH);
    expect_at(w, 1);
}

Test(vm_migrate, waits_for_a_switch_that_is_about_to_return)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n1");
    w->switches_at = w->now + 8000;
    cr_assert_eq(begin(w, "n3"), 0);
    const struct job *job = world_wait_job(w, LONG);
    cr_expect_eq(job->state, JOB_DONE, "%s", job->error);
    expect_at(w, 3);
    w->switches_at = UINT64_MAX; /* And not for ever. */
    cr_assert_eq(begin(w, "n1"), 0);
    job = world_wait_job(w, LONG);
    cr_expect_eq(job->state, JOB_FAILED);
    cr_expect_eq(job->error_code, -EHOSTUNREACH);
    expect_at(w, 3);
}

/* Chaos: anything breaks and heals at random; in the end all heals. */
Test(vm_migrate, in_chaos_no_vm_ever_runs_twice_and_all_heals, .timeout = 300)
{
    for (unsigned seed = 1; seed <= 150; seed++) {
        SC_AUTO(world_free) struct world *w = world_new();
        w->random ^= seed * 0x9e3779b97f4a7c15u;
        world_make_vm(w, "a", "n1");
        for (unsigned i = 0; i < 60; i++) {
            uint16_t n = (uint16_t)(1 + world_random(w, 3));
            uint16_t m = (uint16_t)(1 + world_random(w, 3));
            switch (world_random(w, 6)) {
            case 0:
                if (w->nodes[n].linked)
                    world_unlink(w, n);
                else
                    world_link(w, n);
                break;
            case 1:
                world_cut(w, n, m, !w->cut[n][m]);
                break;
            case 2:
                if (w->ctl)
                    world_kill_controller(w);
                break;
            default:
                if (w->ctl && !world_vm(w, "a")->job[0])
                    begin(w, n == 1 ? "n1" : n == 2 ? "n2" : "n3");
            }
            world_run(w, 100 + world_random(w, 3000));
        }
        for (uint16_t n = 1; n <= WORLD_NODES; n++) {
            world_link(w, n);
            for (uint16_t m = 1; m <= WORLD_NODES; m++)
                w->cut[n][m] = false;
        }
        world_run(w, 60000);
        const struct vm *v = world_vm(w, "a");
        cr_assert_str_eq(v->job, "", "seed %u: a job never ends", seed);
        expect_at(w, v->nid);
    }
}

/* --- cancelling ---------------------------------------------------------- */

static int cancel(struct world *w, const struct job *job)
{
    return world_op(w, "job.cancel", "{\"id\":\"%s\"}", job->id);
}

Test(vm_migrate, cancelled_at_any_moment_it_stays_or_it_was_too_late)
{
    unsigned n_stayed = 0, n_late = 0;
    for (uint64_t when = 0; when < 3500; when += 50) {
        SC_AUTO(world_free) struct world *w = world_new();
        world_make_vm(w, "a", "n1");
        cr_assert_eq(begin(w, "n3"), 0);
        world_run(w, when);
        const struct job *job = world_job(w);
        int r = cancel(w, job);
        job = world_wait_job(w, LONG);
        if (r == 0) {
            n_stayed++;
            cr_expect_eq(job->state, JOB_CANCELLED, "at %lu ms: %s", when,
                         job_state_name(job->state));
            cr_expect(strstr(job->error, "cancelled by test"), "%s",
                      job->error);
            expect_at(w, 1);
            cr_expect_eq(world_vm(w, "a")->epoch, 1u);
            cr_expect_str_eq(world_vm(w, "a")->error, "");
            cr_assert_eq(begin(w, "n2"), 0, "it can move again: %s",
                         w->op_err.text);
            cr_expect_eq(world_wait_job(w, LONG)->state, JOB_DONE);
            expect_at(w, 2);
        } else {
            n_late++;
            cr_expect(r == -EBUSY || r == -EALREADY, "at %lu ms: %s", when,
                      w->op_err.text);
            cr_expect_eq(job->state, JOB_DONE, "at %lu ms: %s", when,
                         job->error);
            cr_expect_eq(job->cancel_at, 0u);
            cr_expect_eq(cJSON_GetObjectItem(job->result, "pause_ms")->valueint,
                         56, "what the engine measured is not lost");
            expect_at(w, 3);
        }
    }
    cr_expect_gt(n_stayed, 20u);
    cr_expect_gt(n_late, 5u);
}

Test(vm_migrate, too_late_says_who_runs_it)
{
    bool seen = false;
    for (uint64_t when = 0; when < 3500 && !seen; when += 50) {
        SC_AUTO(world_free) struct world *w = world_new();
        world_make_vm(w, "a", "n1");
        cr_assert_eq(begin(w, "n3"), 0);
        world_run(w, when);
        seen = cancel(w, world_job(w)) == -EBUSY &&
               strstr(w->op_err.text, "'n3' runs it") != NULL;
    }
    cr_expect(seen);
}

Test(vm_migrate, cancelled_twice_is_cancelled_once)
{
    SC_AUTO(world_free) struct world *w = world_new();
    world_make_vm(w, "a", "n1");
    cr_assert_eq(begin(w, "n3"), 0);
    world_run(w, 800);
    const struct job *job = world_job(w);
    cr_expect_eq(cancel(w, job), 0);
    uint64_t at = job->cancel_at;
    cr_expect_eq(cancel(w, job), 0);
    cr_expect_eq(job->cancel_at, at);
    cr_expect_eq(world_wait_job(w, LONG)->state, JOB_CANCELLED);
    cr_expect_eq(cancel(w, job), -EALREADY);
    cr_expect(strstr(w->op_err.text, "cancelled"), "%s", w->op_err.text);
    expect_at(w, 1);
}

Test(vm_migrate, the_controller_dies_after_any_commit_of_a_cancelling)
{
    for (uint64_t when = 0; when < 3000; when += 250) {
        bool whole = false;
        for (unsigned k = 1; !whole; k++) {
            SC_AUTO(world_free) struct world *w = world_new();
            world_make_vm(w, "a", "n1");
            cr_assert_lt(k, 40u);
            cr_assert_eq(begin(w, "n3"), 0);
            world_run(w, when);
            w->crash_at = w->n_commits + k;
            char id[OBJ_ID];
            OBJ_SET(id, world_job(w)->id);
            SC_AUTO(cjson_free) cJSON *p = cJSON_CreateObject();
            cJSON_AddStringToObject(p, "id", id);
            ctl_op(w->ctl, "job.cancel",
                   &(struct api_caller){ "t", API_ROLE_ADMIN }, p,
                   world_op_done, w);
            world_run(w, 30000);
            cr_assert(w->ctl);
            whole = w->crash_at != 0;
            const struct job *job = world_wait_job(w, LONG);
            cr_expect(job->state == JOB_DONE || job->state == JOB_CANCELLED,
                      "at %lu ms, commit %u: %s: %s", when, k,
                      job_state_name(job->state), job->error);
            if (when == 0) /* Later it may be over before it is back. */
                cr_expect_eq(job->state, JOB_CANCELLED,
                             "at %lu ms, commit %u: asked for is stored", when,
                             k);
            expect_at(w, job->state == JOB_DONE ? 3 : 1);
        }
    }
}

Test(vm_migrate, cancelled_while_a_node_is_cut_off_it_still_ends)
{
    for (uint64_t when = 0; when < 2500; when += 100) {
        for (uint16_t nid = 1; nid <= 3; nid += 2) {
            SC_AUTO(world_free) struct world *w = world_new();
            world_make_vm(w, "a", "n1");
            cr_assert_eq(begin(w, "n3"), 0);
            world_run(w, when);
            world_unlink(w, nid);
            const struct job *job = world_job(w);
            (void)cancel(w, job);
            world_run(w, 3000);
            world_link(w, nid);
            job = world_wait_job(w, LONG);
            cr_expect(job_ended(job), "at %lu ms: no end", when);
            cr_expect_neq(job->state, JOB_FAILED, "at %lu ms: %s", when,
                          job->error);
            expect_at(w, job->state == JOB_DONE ? 3 : 1);
        }
    }
}

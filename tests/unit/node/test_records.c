#include "node/records.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define A "11111111-1111-4111-8111-111111111111"
#define B "22222222-2222-4222-8222-222222222222"

static struct rec_vm vm(const char *id)
{
    struct rec_vm v = { .spec = { .epoch = 3, .vcpus = 1, .memory_mib = 64 } };
    strcpy(v.spec.id, id);
    strcpy(v.spec.name, "x");
    return v;
}

static struct rec_mig mig(const char *id, enum rec_state state)
{
    struct rec_mig m = { .state = state, .epoch = 4, .peer_nid = 9 };
    strcpy(m.id, id);
    strcpy(m.vm_id, A);
    strcpy(m.peer_id, B);
    strcpy(m.peer_address, "10.0.0.9");
    return m;
}

struct seen {
    unsigned n;
    struct rec_vm vm;
    struct rec_mig mig;
};

static void see_vm(void *arg, const struct rec_vm *v)
{
    struct seen *s = arg;
    s->n++;
    s->vm = *v;
}

static void see_mig(void *arg, const struct rec_mig *m)
{
    struct seen *s = arg;
    s->n++;
    s->mig = *m;
}

Test(records, what_is_written_is_read_after_a_restart)
{
    char dir[] = "/tmp/screcXXXXXX", cmd[64];
    struct records *r = NULL;
    struct rec_vm v = vm(A);
    struct rec_mig m = mig(B, REC_PREPARING), got;
    struct seen s = { 0 };
    struct sc_err e = { 0 };
    cr_assert(mkdtemp(dir) != NULL);
    cr_assert_eq(records_open(dir, &r, &e), 0, "%s", e.text);
    m.n_volumes = 1;
    strcpy(m.volumes[0].id, A);
    m.volumes[0].readonly = true;
    v.stopped = true;
    cr_assert_eq(records_write(r, &m, &v, NULL, &e), 0, "%s", e.text);
    records_close(r);
    cr_assert_eq(records_open(dir, &r, &e), 0);
    cr_assert_eq(records_mig(r, B, &got), 0);
    cr_expect_eq(got.state, REC_PREPARING);
    cr_expect_eq(got.peer_nid, 9);
    cr_expect(got.at > 0 && got.n_volumes == 1 && got.volumes[0].readonly);
    cr_assert_eq(records_each_vm(r, see_vm, &s, NULL), 0);
    cr_expect(s.n == 1 && s.vm.stopped && s.vm.spec.epoch == 3);
    records_close(r);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    cr_assert_eq(system(cmd), 0);
}

Test(records, a_vm_is_taken_and_a_migration_ended_in_one_write)
{
    struct records *r = NULL;
    struct rec_vm v = vm(A);
    struct rec_mig m = mig(B, REC_RELEASED);
    struct seen s = { 0 };
    cr_assert_eq(records_open(NULL, &r, NULL), 0);
    cr_assert_eq(records_write(r, NULL, &v, NULL, NULL), 0);
    cr_assert_eq(records_write(r, &m, NULL, A, NULL), 0);
    cr_assert_eq(records_each_vm(r, see_vm, &s, NULL), 0);
    cr_expect_eq(s.n, 0);
    cr_assert_eq(records_each_mig(r, see_mig, &s, NULL), 0);
    cr_expect(s.n == 1 && s.mig.state == REC_RELEASED);
    cr_expect_eq(records_mig(r, A, &m), -ENOENT);
    records_close(r);
}

Test(records, every_state_has_a_name_that_is_read_back)
{
    struct records *r = NULL;
    cr_assert_eq(records_open(NULL, &r, NULL), 0);
    for (int i = 0; i < REC_N_STATES; i++) {
        struct rec_mig m = mig(B, (enum rec_state)i), got;
        cr_assert_eq(records_write(r, &m, NULL, NULL, NULL), 0);
        cr_assert_eq(records_mig(r, B, &got), 0);
        cr_expect_eq((int)got.state, i);
    }
    records_close(r);
}

Test(records, only_ended_migrations_are_trimmed)
{
    struct records *r = NULL;
    struct seen s = { 0 };
    cr_assert_eq(records_open(NULL, &r, NULL), 0);
    for (unsigned i = 0; i < REC_ENDED_KEPT + 20; i++) {
        char id[SC_UUID_LEN + 1];
        sc_uuid_new(id);
        struct rec_mig m = mig(id, i % 10 ? REC_RESUMED : REC_GIVEN);
        cr_assert_eq(records_write(r, &m, NULL, NULL, NULL), 0);
    }
    cr_assert_eq(records_trim(r, NULL), 0);
    cr_assert_eq(records_each_mig(r, see_mig, &s, NULL), 0);
    cr_expect_eq(s.n, REC_ENDED_KEPT + 20, "fewer than the limit had ended");
    for (unsigned i = 0; i < 20; i++) {
        char id[SC_UUID_LEN + 1];
        sc_uuid_new(id);
        struct rec_mig m = mig(id, REC_CANCELLED);
        cr_assert_eq(records_write(r, &m, NULL, NULL, NULL), 0);
    }
    cr_assert_eq(records_trim(r, NULL), 0);
    s.n = 0;
    cr_assert_eq(records_each_mig(r, see_mig, &s, NULL), 0);
    unsigned given = (REC_ENDED_KEPT + 20 + 9) / 10;
    cr_expect_eq(s.n, REC_ENDED_KEPT + given);
    records_close(r);
}

/* Tests of daemons/model/states.c. */
#include "model/states.h"

#include <criterion/criterion.h>

Test(states, every_vm_state_has_a_name_that_parses_back)
{
    for (int i = 0; i < VM_N_STATES; i++) {
        enum vm_state s;
        cr_assert(vm_state_parse(vm_state_name((enum vm_state)i), &s));
        cr_expect_eq(s, (enum vm_state)i);
    }
    enum vm_state s;
    cr_expect(!vm_state_parse("asleep", &s));
    cr_expect(!vm_state_parse(NULL, &s));
}

static const struct {
    enum vm_state from, to;
    bool may;
} moves[] = {
    { VM_PENDING, VM_STARTING, true },  { VM_PENDING, VM_RUNNING, false },
    { VM_RUNNING, VM_MIGRATING, true }, { VM_STOPPED, VM_MIGRATING, false },
    { VM_STOPPED, VM_RUNNING, false },  { VM_MIGRATING, VM_DELETING, false },
    { VM_UNKNOWN, VM_RUNNING, true },   { VM_FAILED, VM_RUNNING, false },
    { VM_RUNNING, VM_RUNNING, true },   { VM_MIGRATING, VM_STARTING, false },
};

Test(states, a_vm_makes_only_the_moves_of_the_table)
{
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
        cr_expect_eq(vm_state_may(moves[i].from, moves[i].to), moves[i].may,
                     "%s to %s", vm_state_name(moves[i].from),
                     vm_state_name(moves[i].to));
}

Test(states, an_ended_job_moves_no_more)
{
    for (int i = 0; i < JOB_N_STATES; i++) {
        cr_expect_eq(job_state_may(JOB_DONE, (enum job_state)i), i == JOB_DONE);
        cr_expect_eq(job_state_may(JOB_FAILED, (enum job_state)i),
                     i == JOB_FAILED);
        cr_expect_eq(job_state_may(JOB_CANCELLED, (enum job_state)i),
                     i == JOB_CANCELLED);
    }
}

/* What the processor can do differs from machine to machine: here only that
 * the trials come to an end, agree with themselves and leave nothing. */
#include "node/probes_measure.h"

#include <criterion/criterion.h>
#include <sys/wait.h>

Test(probes_cpu, faulting_is_tried_in_a_process_of_its_own)
{
    int a = probes_cpuid_faults(), b = probes_cpuid_faults();
    cr_expect(a == 0 || a == 1, "%d", a);
    cr_expect_eq(a, b);
    cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "no child is left");
}

Test(probes_cpu, a_driver_whose_guests_see_no_cpuid_is_content)
{
    struct probes_ask q = { .hypervisor = "qemu" };
    struct probe_result r = { 0 };
    probes_cpuid(&q, &r);
    cr_expect(r.ok, "%s", r.why);
    cr_expect(strstr(r.value, "CPUID"), "%s", r.value);
}

Test(probes_cpu, kvm_is_tried_as_far_as_it_goes)
{
    int code = 1;
    enum kvm_stage s = probes_kvm_try(&code);
    cr_expect_leq(s, KVM_STAGE_RAN);
    cr_expect_eq(s == KVM_STAGE_ABSENT, access("/dev/kvm", R_OK | W_OK) != 0);
    cr_expect_leq(code, 0);
    struct probes_ask q = { .hypervisor = "xen" };
    struct probe_result r = { 0 };
    probes_kvm(&q, &r);
    cr_expect(r.ok, "Xen does not need it: %s", r.why);
}

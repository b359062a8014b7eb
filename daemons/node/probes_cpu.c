/* probes_cpu - CPUID faulting and KVM, each made to happen
 * (probes_measure.h). */
#include "node/probes_measure.h"

#include "hypervisor/hypervisor.h"

#include <cpuid.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ARCH_CPUID = 0x1012, /* asm/prctl.h */
    FAULTED = 3,
    GUEST_AT = 0x1000, /* Where the guest's page is. */
    PAGE = 4096,
};

/* --- CPUID ---------------------------------------------------------------- */

static void on_fault(int sig)
{
    (void)sig;
    _exit(FAULTED);
}

static void try_cpuid(void)
{
    unsigned a, b, c, d;
    struct sigaction s = { .sa_handler = on_fault };
    if (sigaction(SIGSEGV, &s, NULL) < 0 ||
        syscall(SYS_arch_prctl, ARCH_CPUID, 0) < 0)
        _exit(0); /* The kernel says that there is no such thing. */
    __cpuid(0, a, b, c, d);
    _exit(0); /* It was promised, and did not fault. */
}

int probes_cpuid_faults(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        try_cpuid();
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == FAULTED;
}

void probes_cpuid(const struct probes_ask *q, struct probe_result *ret)
{
    struct sc_err err = { 0 };
    bool faults = false;
    int r = hv_cpuid_faulting(q->hypervisor, &faults, &err);
    if (r == -ENOTSUP) {
        r = probes_cpuid_faults();
        faults = r > 0;
        if (r < 0)
            snprintf(err.text, sizeof err.text, "%s", strerror(-r));
    }
    probe_decide_cpuid(!strcmp(q->hypervisor, "xen"), r < 0 ? r : 0, faults,
                       err.text, ret);
}

/* --- KVM ------------------------------------------------------------------ */

/* A processor in real mode at 'hlt', the one instruction of its page. */
static bool run_hlt(int vm, int cpu, int vcpu_size)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs = { .rip = 0, .rflags = 2 };
    uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct kvm_run *run = mmap(NULL, (size_t)vcpu_size, PROT_READ | PROT_WRITE,
                               MAP_SHARED, cpu, 0);
    if (page == MAP_FAILED || run == MAP_FAILED)
        return false;
    memset(page, 0xf4, PAGE); /* hlt */
    struct kvm_userspace_memory_region region = {
        .guest_phys_addr = GUEST_AT,
        .memory_size = PAGE,
        .userspace_addr = (uintptr_t)page,
    };
    if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 ||
        ioctl(cpu, KVM_GET_SREGS, &sregs) < 0)
        return false;
    sregs.cs.base = GUEST_AT;
    sregs.cs.selector = GUEST_AT >> 4;
    return ioctl(cpu, KVM_SET_SREGS, &sregs) == 0 &&
           ioctl(cpu, KVM_SET_REGS, &regs) == 0 &&
           ioctl(cpu, KVM_RUN, 0) == 0 && run->exit_reason == KVM_EXIT_HLT;
}

/* fds and mappings go with the process. */
enum kvm_stage probes_kvm_try(int *ret_code)
{
    *ret_code = 0;
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0) {
        *ret_code = -errno;
        return KVM_STAGE_ABSENT;
    }
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION || vm < 0 ||
        size < (int)sizeof(struct kvm_run)) {
        *ret_code = -errno;
        return KVM_STAGE_OPEN;
    }
    int cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    if (cpu < 0) {
        *ret_code = -errno;
        return KVM_STAGE_VM;
    }
    return run_hlt(vm, cpu, size) ? KVM_STAGE_RAN : KVM_STAGE_CPU;
}

static bool has_flag(void)
{
    SC_AUTO(fclose) FILE *f = fopen("/proc/cpuinfo", "re");
    char line[8192];
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "flags", 5))
            return strstr(line, " vmx ") || strstr(line, " svm ") ||
                   strstr(line, " vmx\n") || strstr(line, " svm\n");
    return false;
}

void probes_kvm(const struct probes_ask *q, struct probe_result *ret)
{
    int code;
    enum kvm_stage stage = probes_kvm_try(&code);
    probe_decide_kvm(!strcmp(q->hypervisor, "xen"), stage, code, has_flag(),
                     ret);
}

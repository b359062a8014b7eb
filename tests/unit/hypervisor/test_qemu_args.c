#include "hypervisor/qemu_args.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID "11111111-1111-4111-8111-111111111111"

static struct hv_spec spec(void)
{
    struct hv_spec s = { .id = ID,
                         .name = "hello",
                         .vcpus = 2,
                         .memory_mib = 128,
                         .kernel = "/k",
                         .ramdisk = "/r",
                         .cmdline = "a=b,c \"d\"",
                         .n_disks = 2,
                         .n_nics = 1 };
    s.disks[0] = (struct hv_disk){ "xvda", "/s", "e0", 4096, false };
    s.disks[1] = (struct hv_disk){ "xvdb", "/s", "e1", 4096, true };
    s.nics[0] = (struct hv_nic){ "sc0", "52:54:00:00:00:01", 1400 };
    return s;
}

/* The arguments, a line each. */
static char *lines(struct qemu_args *a)
{
    SC_AUTO(qemu_args_free) char **argv = NULL;
    char *text = calloc(1, 16384);
    a->binary = "qemu";
    cr_assert_eq(qemu_args_make(a, &argv), 0);
    for (char **p = argv; *p; p++)
        strcat(strcat(text, *p), "\n");
    return text;
}

Test(qemu_args, both_ends_of_a_migration_get_the_same_devices)
{
    struct hv_spec s = spec();
    struct qemu_args a = { .spec = &s, .tap_fds = { 7 } };
    SC_AUTO(free) char *source = lines(&a);
    a.incoming = true;
    SC_AUTO(free) char *destination = lines(&a);
    cr_expect_eq(strncmp(source, destination, strlen(source)), 0);
    cr_expect_str_eq(destination + strlen(source), "-incoming\ndefer\n");
}

Test(qemu_args, a_guest_never_runs_before_it_is_told_and_is_locked_in)
{
    struct hv_spec s = spec();
    struct qemu_args a = { .spec = &s };
    SC_AUTO(free) char *text = lines(&a);
    cr_expect(strstr(text, "\n-S\n"));
    cr_expect(strstr(text, "\n-sandbox\non,"));
    cr_expect(strstr(text, "\n-nodefaults\n"));
}

Test(qemu_args, the_command_line_is_one_argument_whatever_is_in_it)
{
    struct hv_spec s = spec();
    struct qemu_args a = { .spec = &s };
    SC_AUTO(free) char *text = lines(&a);
    cr_expect(
        strstr(text, "\n-append\na=b,c \"d\" console=ttyS0 no_timer_check\n"),
        "%s", text);
    s.cmdline = "console=ttyS0,115200 x";
    SC_AUTO(free) char *own = lines(&a);
    cr_expect(strstr(own, "\n-append\nconsole=ttyS0,115200 x no_timer_check\n"),
              "%s", own);
}

Test(qemu_args, disks_wait_for_their_server_and_readonly_is_kept)
{
    struct hv_spec s = spec();
    struct qemu_args a = { .spec = &s };
    SC_AUTO(free) char *text = lines(&a);
    const char *first = strstr(text, "\"disk0\""),
               *second = strstr(text, "\"disk1\"");
    cr_assert(first && second);
    cr_expect(strstr(first, "\"reconnect-delay\":86400"));
    cr_expect(strstr(first, "\"read-only\":false"));
    cr_expect(strstr(second, "\"read-only\":true"));
    cr_expect(strstr(text, "serial=xvda"));
}

Test(qemu_args, offload_is_off_only_with_a_userspace_switch)
{
    struct hv_spec s = spec();
    struct qemu_args a = { .spec = &s, .tap_fds = { 9 } };
    SC_AUTO(free) char *with = lines(&a);
    cr_expect_null(strstr(with, "csum=off"));
    cr_expect(strstr(with, "tap,id=net0,fd=9"));
    cr_expect(strstr(with, "host_mtu=1400"));
    a.plain_checksums = true;
    SC_AUTO(free) char *without = lines(&a);
    cr_expect(strstr(without, "csum=off"));
}

Test(qemu_args, kvm_is_used_when_there_is_one)
{
    struct hv_spec s = spec();
    struct qemu_args a = { .spec = &s, .kvm = true };
    SC_AUTO(free) char *text = lines(&a);
    cr_expect(strstr(text, "\n-accel\nkvm\n"));
    cr_expect(strstr(text, "\n-cpu\nhost\n"));
    cr_expect(strstr(text, "\nsize=131072K\n"));
    cr_expect_null(strstr(text, "no_timer_check"));
}

Test(qemu_args, memory_under_tcg_is_never_a_multiple_of_256_kib)
{
    struct hv_spec s = spec();
    struct qemu_args a = { .spec = &s };
    for (s.memory_mib = 16; s.memory_mib < 600; s.memory_mib++) {
        SC_AUTO(free) char *text = lines(&a);
        const char *at = strstr(text, "\nsize=");
        unsigned long kib = 0;
        cr_assert(at && sscanf(at, "\nsize=%luK", &kib) == 1);
        cr_expect(kib % 256 && kib % 8 == 0, "%lu", kib);
    }
}

#include "node/probes_measure.h"

#include <criterion/criterion.h>
#include <dirent.h>

static unsigned n_files(const char *folder)
{
    unsigned n = 0;
    DIR *d = opendir(folder);
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

Test(probes_io, a_disk_is_measured_and_left_as_it_was)
{
    char folder[] = "/tmp/sc-unit.XXXXXX";
    struct disk_facts d;
    cr_assert(mkdtemp(folder));
    probes_disk_try(folder, 4 << 20, 5000, &d);
    cr_assert_eq(d.code, 0, "%s: %d", d.what, d.code);
    cr_expect(d.bytes > 0 && d.bytes <= 4 << 20 && d.bytes % (1 << 20) == 0);
    cr_expect(d.us > 0 && d.flush_us > 0 && d.n_flushes >= 1);
    cr_expect_eq(n_files(folder), 2);
    rmdir(folder);
}

Test(probes_io, the_time_ends_a_slow_disk_s_trial)
{
    char folder[] = "/tmp/sc-unit.XXXXXX";
    struct disk_facts d;
    cr_assert(mkdtemp(folder));
    probes_disk_try(folder, UINT64_C(1) << 40, 1, &d);
    cr_assert_eq(d.code, 0);
    cr_expect_lt(d.bytes, UINT64_C(1) << 30);
    rmdir(folder);
}

Test(probes_io, a_folder_that_is_not_there_is_said)
{
    struct disk_facts d;
    struct probe_result r;
    probes_disk_try("/proc/nonexistent", 1 << 20, 10, &d);
    cr_expect_eq(d.code, -ENOENT);
    probe_decide_disk(&d, &r);
    cr_expect(strstr(r.value, "making a file: No such"), "%s", r.value);
}

Test(probes_io, the_interface_of_an_address)
{
    char name[16];
    struct probes_ask q = { .address = "127.0.0.1" };
    struct probe_result r = { 0 };
    probes_nic_of("127.0.0.1", name);
    cr_expect_str_eq(name, "lo");
    probes_nic_of("192.0.2.77", name);
    cr_expect_str_eq(name, "");
    probes_nic(&q, &r);
    cr_expect(strstr(r.value, "lo: virtual"), "%s", r.value);
}

Test(probes_io, the_clock_is_told_with_or_without_chrony)
{
    struct probes_ask q = { .clock = { .heard = true, .offset_us = 5000 } };
    struct probe_result r = { 0 };
    probes_clock(&q, &r);
    cr_expect(strstr(r.value, "5.0 ms behind"), "%s", r.value);
}

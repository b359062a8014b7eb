#include "common/json.h"
#include "join/machine.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

Test(machine, xen_is_what_says_control_d)
{
    char path[] = "/tmp/sc-unit.XXXXXX";
    int fd = mkstemp(path);
    cr_assert_eq(write(fd, "control_d\n", 10), 10);
    cr_expect_str_eq(machine_hypervisor(path), "xen");
    cr_assert_eq(ftruncate(fd, 0), 0); /* A guest of Xen: empty. */
    setenv("PATH", "/nowhere", 1);
    cr_expect_null(machine_hypervisor(path));
    close(fd);
    unlink(path);
}

Test(machine, qemu_is_found_in_the_search_path)
{
    char dir[] = "/tmp/sc-unit.XXXXXX", file[64], path[128];
    cr_assert(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/qemu-system-x86_64", dir);
    close(open(file, O_WRONLY | O_CREAT, 0644));
    snprintf(path, sizeof path, "/nowhere:%s", dir);
    setenv("PATH", path, 1);
    cr_expect_null(machine_hypervisor("/none"), "not executable");
    cr_assert_eq(chmod(file, 0755), 0);
    cr_expect_str_eq(machine_hypervisor("/none"), "qemu");
    unlink(file);
    rmdir(dir);
}

Test(machine, the_address_is_the_one_packets_leave_from)
{
    char address[INET6_ADDRSTRLEN];
    cr_assert_eq(machine_address("127.0.0.1", 7443, address), 0);
    cr_expect_str_eq(address, "127.0.0.1");
}

static const struct {
    const char *host, *want;
} names[] = {
    { "us-1", "us-1" },       { "us-1.example.org", "us-1" },
    { "My_Host", "My_Host" }, { "", "node" },
    { ".hidden", "node" },    { "a b", "node" },
    { "-x", "node" },
};

Test(machine, a_name_is_the_hosts_first_label_if_it_fits)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(names); i++) {
        char name[64];
        machine_name_from(names[i].host, name);
        cr_expect_str_eq(name, names[i].want, "case '%s'", names[i].host);
        cr_expect(sc_name_ok(name));
    }
    char name[64], longest[200];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    machine_name_from(longest, name);
    cr_expect_eq(strlen(name), 63u);
}

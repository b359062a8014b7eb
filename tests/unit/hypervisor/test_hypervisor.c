#include "hypervisor/hypervisor.h"

#include "hypervisor/hypervisor-class.h"

#include <criterion/criterion.h>
#include <string.h>

#define ID "11111111-1111-4111-8111-111111111111"

static void quiet(void *arg)
{
    (void)arg;
}
static const struct hv_events none = { .ready = quiet };

static struct hv_spec good(void)
{
    struct hv_spec s = { .id = ID,
                         .name = "hello",
                         .vcpus = 1,
                         .memory_mib = 64,
                         .kernel = "/boot/k",
                         .n_disks = 1,
                         .n_nics = 1 };
    s.disks[0] = (struct hv_disk){ "xvda", "/run/s.sock", ID, 4096, false };
    s.nics[0] = (struct hv_nic){ "sc0123456789", "52:54:00:00:00:01", 1400 };
    return s;
}

static struct hv *open_fake(struct sc_loop **loop)
{
    struct hv *hv = NULL;
    cr_assert_eq(sc_loop_new(false, loop, NULL), 0);
    struct hv_options o = { .loop = *loop,
                            .run_dir = "/nonexistent",
                            .events = &none };
    cr_assert_eq(hv_open("fake", &o, &hv, NULL), 0);
    return hv;
}

static void done(void *arg, const struct sc_err *err)
{
    (void)arg, (void)err;
}

Test(hypervisor, an_unknown_driver_is_named)
{
    struct hv_options o = { .run_dir = "/nonexistent" };
    struct hv *hv = NULL;
    struct sc_err e = { 0 };
    cr_expect_eq(hv_open("vmware", &o, &hv, &e), -ENOENT);
    cr_expect(strstr(e.text, "vmware"));
}

#define BAD(what, change)                                                      \
    do {                                                                       \
        struct hv_spec s = good();                                             \
        struct sc_err e = { 0 };                                               \
        change;                                                                \
        cr_expect_eq(hv_start(hv, &s, done, NULL, &e), -EINVAL, "%s", what);   \
        cr_expect(e.text[0], "%s: no reason given", what);                     \
    } while (0)

Test(hypervisor, nothing_goes_to_a_driver_that_could_change_an_option_list)
{
    struct sc_loop *loop;
    struct hv *hv = open_fake(&loop);
    BAD("id", s.id = "../../etc");
    BAD("name", s.name = "a,b");
    BAD("no cpus", s.vcpus = 0);
    BAD("no memory", s.memory_mib = 1);
    BAD("no kernel", s.kernel = NULL);
    BAD("kernel with a comma", s.kernel = "/boot/k,x=y");
    BAD("command line with a newline", s.cmdline = "a\nb");
    BAD("disk name with a slash", s.disks[0].dev = "../x");
    BAD("export with a comma", s.disks[0].export = "a,b");
    BAD("socket too long", s.disks[0].nbd_socket =
                               "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                               "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                               "xxxxxxxxxxxxxxxxxxx");
    BAD("interface too long", s.nics[0].ifname = "0123456789abcdef");
    BAD("short mac", s.nics[0].mac = "52:54");
    BAD("long mac", s.nics[0].mac = "52:54:00:00:00:01:02");
    BAD("too many disks", s.n_disks = HV_DISKS_MAX + 1);
    hv_close(hv);
    sc_loop_free(loop);
}

Test(hypervisor, a_copied_spec_owns_its_strings)
{
    char name[] = "hello", dev[] = "xvda";
    struct hv_spec s = good();
    s.name = name;
    s.disks[0].dev = dev;
    struct hv_spec *copy = hv_spec_dup(&s);
    memset(name, 'x', sizeof name - 1);
    memset(dev, 'x', sizeof dev - 1);
    cr_expect_str_eq(copy->name, "hello");
    cr_expect_str_eq(copy->disks[0].dev, "xvda");
    cr_expect_null(copy->ramdisk);
    cr_expect_eq(copy->nics[0].mtu, 1400);
    free(copy);
}

Test(hypervisor, memory_of_this_machine_is_read)
{
    cr_expect_gt(hv_meminfo_mib("MemTotal"), 100);
    cr_expect_eq(hv_meminfo_mib("NoSuchThing"), 0);
}

Test(hypervisor, a_driver_that_traps_cpuid_says_so)
{
    struct sc_err err = { 0 };
    bool faults = false;
    cr_expect_eq(hv_cpuid_faulting("fake", &faults, &err), -ENOTSUP);
    cr_expect(strstr(err.text, "'fake'"), "%s", err.text);
    cr_expect_eq(hv_cpuid_faulting("none", &faults, &err), -ENOTSUP);
}

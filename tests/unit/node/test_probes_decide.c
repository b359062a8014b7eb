#include "node/probes_decide.h"

#include "common/json.h"

#include <criterion/criterion.h>

#define SAYS(r, text) cr_expect(strstr((r).value, text), "%s", (r).value)

static void consistent(const struct probe_result *r)
{
    cr_expect(r->value[0], "a result has a value");
    cr_expect_eq(r->ok, r->why[0] == '\0', "%s: %s", r->value, r->why);
}

Test(probes_decide, cpuid_matters_under_xen_alone)
{
    struct probe_result r;
    static const struct {
        bool xen;
        int r;
        bool faults, ok;
    } cases[] = {
        { true, 0, true, true },        { true, 0, false, false },
        { true, -EPERM, false, false }, { false, 0, true, true },
        { false, 0, false, true },      { false, -EPERM, false, true },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        probe_decide_cpuid(cases[i].xen, cases[i].r, cases[i].faults, "no", &r);
        cr_expect_eq(r.ok, cases[i].ok, "case %zu", i);
        consistent(&r);
    }
}

Test(probes_decide, kvm_must_run_and_be_hardware_s)
{
    struct probe_result r;
    for (int xen = 0; xen < 2; xen++) {
        for (int s = KVM_STAGE_ABSENT; s <= KVM_STAGE_RAN; s++) {
            for (int flag = 0; flag < 2; flag++) {
                probe_decide_kvm(xen, (enum kvm_stage)s, -ENOENT, flag, &r);
                cr_expect_eq(r.ok, xen || (s == KVM_STAGE_RAN && flag),
                             "xen %d stage %d flag %d", xen, s, flag);
                consistent(&r);
            }
        }
    }
    probe_decide_kvm(false, KVM_STAGE_ABSENT, -ENOENT, false, &r);
    SAYS(r, "No such file");
    probe_decide_kvm(false, KVM_STAGE_RAN, 0, false, &r);
    SAYS(r, "not hardware");
    probe_decide_kvm(true, KVM_STAGE_ABSENT, -ENOENT, false, &r);
    SAYS(r, "not needed");
}

Test(probes_decide, a_clock_is_wrong_only_beyond_what_the_way_explains)
{
    static const struct {
        int64_t offset_us;
        uint64_t round_trip_us;
        bool ok;
        const char *says;
    } cases[] = {
        { 0, 1000, true, "0.0 ms behind" },
        { -2500, 1000, true, "2.5 ms ahead" },
        { 120000, 1000, false, "120.0 ms behind" },
        { -120000, 1000, false, "120.0 ms ahead" },
        { 120000, 100000, true, "give or take 50.0 ms" },
    };
    struct probe_result r;
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        struct clock_facts c = { .heard = true,
                                 .offset_us = cases[i].offset_us,
                                 .round_trip_us = cases[i].round_trip_us };
        probe_decide_clock(&c, &r);
        cr_expect_eq(r.ok, cases[i].ok, "case %zu", i);
        SAYS(r, cases[i].says);
        consistent(&r);
    }
    struct clock_facts none = { 0 };
    probe_decide_clock(&none, &r);
    SAYS(r, "not known");
    consistent(&r);
}

Test(probes_decide, chrony_s_line_is_read)
{
    struct clock_facts c = { 0 };
    struct probe_result r;
    cr_assert(probe_parse_tracking(
        "0AC80001,10.200.0.1,11,1795819873.25,-0.000123456,0.0001,0.0002,"
        "1.5,0.0,0.1,0.002,0.0003,64.2,Normal\n",
        &c));
    cr_expect_float_eq(c.chrony_s, -0.000123456, 1e-12);
    probe_decide_clock(&c, &r);
    SAYS(r, "chrony: -0.123 ms from 10.200.0.1");
    cr_expect_not(probe_parse_tracking("506 Cannot talk to daemon\n", &c));
    cr_expect_not(probe_parse_tracking("", &c));
    cr_expect_not(probe_parse_tracking("a,b,1,2,nan,", &c));
}

Test(probes_decide, a_disk_is_judged_by_its_speed_and_its_flushes)
{
    static const struct {
        struct disk_facts d;
        bool ok;
        const char *says;
    } cases[] = {
        { { .bytes = 16 << 20,
            .us = 100000,
            .flush_us = 1200,
            .n_flushes = 16 },
          true,
          "writes 160 MiB/s (16 MiB), a flush takes 1.2 ms (16)" },
        { { .bytes = 16 << 20, .us = 2000000, .flush_us = 1200 },
          false,
          "writes 8 MiB/s" },
        { { .bytes = 16 << 20, .us = 100000, .flush_us = 80000 },
          false,
          "80.0 ms" },
        { { .code = -ENOSPC, .what = "writing" }, false, "writing: No space" },
        { { .bytes = 0, .us = 0 }, false, "writes 0" },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        struct probe_result r;
        probe_decide_disk(&cases[i].d, &r);
        cr_expect_eq(r.ok, cases[i].ok, "case %zu", i);
        SAYS(r, cases[i].says);
        consistent(&r);
    }
}

Test(probes_decide, emulated_network_cards_are_named)
{
    struct probe_result r;
    probe_decide_nic("eth0", "ena", 25000, 9001, &r);
    cr_expect_str_eq(r.value, "eth0: ena, 25000 Mbit/s, MTU 9001");
    consistent(&r);
    probe_decide_nic("eth0", "e1000e", -1, 1500, &r);
    cr_expect_not(r.ok);
    cr_expect_str_eq(r.value, "eth0: e1000e, MTU 1500");
    probe_decide_nic("br-phy", "", 0, 1500, &r);
    cr_expect_str_eq(r.value, "br-phy: virtual, MTU 1500");
    consistent(&r);
    probe_decide_nic("", "", 0, 0, &r);
    cr_expect_not(r.ok);
    consistent(&r);
}

Test(probes_decide, the_path_must_carry_the_overlay)
{
    struct probe_result r;
    struct mtu_facts m = { .n_peers = 2, .n_answered = 2, .least = 1400 };
    snprintf(m.to, sizeof m.to, "node 2");
    probe_decide_mtu(&m, &r);
    cr_expect(r.ok);
    SAYS(r, "1400 bytes reach node 2 (the least");
    m.least = 1399;
    probe_decide_mtu(&m, &r);
    cr_expect_not(r.ok);
    cr_expect(strstr(r.why, "mtu 1349"), "%s", r.why);
    m.n_answered = 0;
    probe_decide_mtu(&m, &r);
    cr_expect_not(r.ok);
    SAYS(r, "none of 2 nodes");
    m.n_peers = 0;
    probe_decide_mtu(&m, &r);
    cr_expect(r.ok);
}

Test(probes_decide, a_result_on_the_wire)
{
    struct probe_result r = { .ok = true, .value = "v" };
    SAYS(r, "v");
    SC_AUTO(cjson_free) cJSON *o = probe_result_json("disk", &r);
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(o);
    cr_expect_str_eq(text, "{\"name\":\"disk\",\"ok\":true,\"value\":\"v\","
                           "\"why\":\"\"}");
}

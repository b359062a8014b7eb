/* Topologies drawn as rows of links and latencies. */
#include "network/topo.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* A full mesh of 'n' switches; the port from A to B has number B. */
static struct topo *mesh(uint16_t n, uint64_t now)
{
    struct topo *t = topo_new();
    cr_assert(t);
    for (uint16_t a = 1; a <= n; a++) {
        for (uint16_t b = 1; b <= n; b++) {
            if (a != b)
                cr_assert_eq(topo_port_up(t, a, b, b, now), 0);
        }
    }
    return t;
}

static void path_text(const struct topo_path *p, char *ret, size_t size)
{
    size_t used = 0;
    *ret = '\0';
    for (int i = 0; i < p->len; i++)
        used += (size_t)snprintf(ret + used, size - used, "%s%u", i ? " " : "",
                                 p->nids[i]);
}

static const struct {
    const char *name;
    double rtt12, rtt13, rtt23;
    const char *want;
} path_cases[] = {
    { "nothing measured: straight", -1, -1, -1, "1 2" },
    { "straight is shorter", 20, 15, 15, "1 2" },
    { "a detour that gains 5 %", 20, 10, 9, "1 2" },
    { "a detour that gains exactly 10 %", 20, 9, 9, "1 2" },
    { "a detour that gains 11 %", 200, 89, 89, "1 3 2" },
    { "a detour over a pair not measured", 300, 100, -1, "1 2" },
    { "the direct pair not measured", -1, 100, 100, "1 3 2" },
};

Test(topo, a_path_leaves_the_direct_link_only_for_a_clear_gain)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(path_cases); i++) {
        SC_AUTO(topo_free) struct topo *t = mesh(3, 0);
        char text[64];
        cr_assert_eq(topo_latency_set(t, 1, 2, path_cases[i].rtt12), 0);
        cr_assert_eq(topo_latency_set(t, 3, 1, path_cases[i].rtt13), 0);
        cr_assert_eq(topo_latency_set(t, 2, 3, path_cases[i].rtt23), 0);
        struct topo_path p = topo_path(t, 1, 2, NULL);
        path_text(&p, text, sizeof text);
        cr_expect_str_eq(text, path_cases[i].want, "case '%s': %s",
                         path_cases[i].name, text);
    }
}

Test(topo, a_path_in_use_is_left_only_for_a_clear_gain)
{
    SC_AUTO(topo_free) struct topo *t = mesh(3, 0);
    char text[64];
    struct topo_path detour = { { 1, 3, 2 }, 3 };
    cr_assert_eq(topo_latency_set(t, 1, 2, 19), 0);
    cr_assert_eq(topo_latency_set(t, 1, 3, 10), 0);
    cr_assert_eq(topo_latency_set(t, 2, 3, 10), 0);
    struct topo_path p = topo_path(t, 1, 2, &detour);
    path_text(&p, text, sizeof text);
    cr_expect_str_eq(text, "1 3 2", "20 ms in use against 19 straight: %s",
                     text);
    cr_assert_eq(topo_latency_set(t, 1, 2, 15), 0);
    p = topo_path(t, 1, 2, &detour);
    path_text(&p, text, sizeof text);
    cr_expect_str_eq(text, "1 2", "15 ms straight: %s", text);
}

Test(topo, a_path_in_use_is_left_when_a_link_of_it_goes_down)
{
    SC_AUTO(topo_free) struct topo *t = mesh(3, 0);
    struct topo_path detour = { { 1, 3, 2 }, 3 };
    topo_port_down(t, 3, 2);
    struct topo_path p = topo_path(t, 1, 2, &detour);
    cr_expect_eq(p.len, 2);
}

Test(topo, without_the_direct_link_another_way_is_found)
{
    SC_AUTO(topo_free) struct topo *t = mesh(4, 0);
    char text[64];
    topo_port_down(t, 1, 2);
    cr_assert_eq(topo_latency_set(t, 1, 3, 50), 0);
    cr_assert_eq(topo_latency_set(t, 3, 2, 50), 0);
    cr_assert_eq(topo_latency_set(t, 1, 4, 10), 0);
    cr_assert_eq(topo_latency_set(t, 4, 2, 20), 0);
    struct topo_path p = topo_path(t, 1, 2, NULL);
    path_text(&p, text, sizeof text);
    cr_expect_str_eq(text, "1 4 2", "%s", text);
    topo_switch_down(t, 1);
    p = topo_path(t, 1, 2, NULL);
    cr_expect_eq(p.len, 0, "no port of 1 is left");
    p = topo_path(t, 2, 1, NULL);
    path_text(&p, text, sizeof text);
    cr_expect_str_eq(text, "2 4 1", "links are directed: %s", text);
}

Test(topo, a_switch_reaches_itself_over_no_link)
{
    SC_AUTO(topo_free) struct topo *t = mesh(2, 0);
    struct topo_path p = topo_path(t, 2, 2, NULL);
    cr_expect_eq(p.len, 1);
    cr_expect_eq(p.nids[0], 2);
}

Test(topo, a_link_is_believed_by_name_at_first_and_by_spoof_packets_after)
{
    SC_AUTO(topo_free) struct topo *t = mesh(2, 1000);
    cr_expect_eq(topo_port_to(t, 1, 2), 2);
    cr_expect_not(topo_age(t, 1000 + TOPO_LINK_AGE_MS));
    cr_expect_not(topo_link_seen(t, 1, 2, 2, 5000), "it was up already");
    cr_expect(topo_age(t, 1001 + TOPO_LINK_AGE_MS), "2 to 1 was not seen");
    cr_expect_eq(topo_port_to(t, 1, 2), 2);
    cr_expect_eq(topo_port_to(t, 2, 1), 0);
    cr_expect(topo_link_seen(t, 2, 1, 1, 20000), "and is up again");
    cr_expect_eq(topo_port_to(t, 2, 1), 1);
}

Test(topo,
     a_port_that_leads_elsewhere_than_its_name_says_is_believed_by_the_packet)
{
    SC_AUTO(topo_free) struct topo *t = topo_new();
    cr_assert_eq(topo_port_up(t, 1, 2, 7, 0), 0);
    cr_expect(topo_link_seen(t, 1, 7, 3, 10));
    cr_expect_eq(topo_port_to(t, 1, 2), 0);
    cr_expect_eq(topo_port_to(t, 1, 3), 7);
    cr_expect_not(topo_link_seen(t, 1, 8, 3, 10), "there is no port 8");
}

Test(topo, latency_is_kept_for_either_direction_and_can_be_forgotten)
{
    SC_AUTO(topo_free) struct topo *t = topo_new();
    for (uint16_t a = 40; a > 1; a--)
        cr_assert_eq(topo_latency_set(t, a, 1, a), 0);
    cr_expect_eq(topo_latency(t, 1, 17), 17);
    cr_expect_eq(topo_latency(t, 17, 1), 17);
    cr_expect_eq(topo_latency(t, 5, 5), 0);
    cr_assert_eq(topo_latency_set(t, 1, 17, -1), 0);
    cr_expect_eq(topo_latency(t, 1, 17), TOPO_UNKNOWN_MS);
    cr_expect_eq(topo_latency(t, 1, 18), 18);
}

Test(topo, a_path_has_a_largest_length)
{
    SC_AUTO(topo_free) struct topo *t = topo_new();
    for (uint16_t a = 1; a < 20; a++)
        cr_assert_eq(topo_port_up(t, a, (uint16_t)(a + 1), 1, 0), 0);
    struct topo_path p = topo_path(t, 1, TOPO_PATH_MAX, NULL);
    cr_expect_eq(p.len, TOPO_PATH_MAX);
    p = topo_path(t, 1, TOPO_PATH_MAX + 1, NULL);
    cr_expect_eq(p.len, 0);
}

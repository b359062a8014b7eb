/* Tests of daemons/scheduler/place.c. */
#include "scheduler/place.h"

#include <criterion/criterion.h>

static const struct place_node nodes[] = {
    { 1, "id1", "us-1", "us", NULL, 1000, 0 },
    { 2, "id2", "us-2", "us", NULL, 2000, 1500 },
    { 3, "id3", "jp-1", "jp", NULL, 4000, 0 },
    { 4, "id4", "eu-1", "eu", "down", 9000, 0 },
    { 5, "id5", "eu-2", "eu", NULL, 600, 0 },
};
static const struct place_latency latencies[] = {
    { 1, 3, 150 }, { 3, 5, 250 }, { 5, 1, 90 }, { 2, 5, 80 }, { 4, 1, 1 },
};
static const struct place_snapshot snapshot = { nodes, 5, latencies, 5 };

static const struct {
    const char *name;
    struct place_request q;
    int want;
    uint16_t nid;
    const char *text;
} cases[] = {
    { "anywhere: most room", { 100, "", "", 0, "" }, 0, 3, NULL },
    { "in its region: most room", { 100, "us", "", 0, "" }, 0, 1, NULL },
    { "what is promised is not room", { 800, "us", "", 0, "" }, 0, 1, NULL },
    { "its region full: the nearest by latency",
      { 700, "eu", "", 0, "" },
      0,
      1,
      NULL },
    { "nearest full too: the next", { 1500, "eu", "", 0, "" }, 0, 3, NULL },
    { "a region nobody measured is as far as any",
      { 100, "mars", "", 0, "" },
      0,
      3,
      NULL },
    { "exactly that much", { 600, "", "eu-2", 0, "" }, 0, 5, NULL },
    { "one MiB less",
      { 601, "", "eu-2", 0, "" },
      -ENOSPC,
      0,
      "eu-2: 600 MiB free" },
    { "a node by its id", { 100, "", "id2", 0, "" }, 0, 2, NULL },
    { "a node that is not there", { 100, "", "x", 0, "" }, -ENOENT, 0, "'x'" },
    { "a node that is down",
      { 100, "", "eu-1", 0, "" },
      -EHOSTUNREACH,
      0,
      "eu-1: down" },
    { "where it is already",
      { 100, "", "us-1", 1, "" },
      -EALREADY,
      0,
      "is on node 'us-1' already" },
    { "in a region where its node is the only one",
      { 100, "jp", "", 3, "jp" },
      -EALREADY,
      0,
      "is in region 'jp' already, on its only node" },
    { "must be in a region: not where it is",
      { 100, "us", "", 1, "us" },
      0,
      2,
      NULL },
    { "must be in a region that has no room",
      { 1200, "us", "", 0, "us" },
      -ENOSPC,
      0,
      "us-2: 2000 MiB free" },
    { "a region without nodes", { 1, "", "", 0, "moon" }, -ENOENT, 0, "moon" },
    { "nobody has the room: each is named",
      { 5000, "", "", 0, "" },
      -ENOSPC,
      0,
      "jp-1: 4000 MiB free" },
};

Test(place, chooses_the_nearest_with_room_and_says_why_not)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        const struct place_node *n = NULL;
        struct sc_err err = { 0 };
        int r = place(&snapshot, &cases[i].q, &n, &err);
        cr_expect_eq(r, cases[i].want, "case '%s': %s", cases[i].name,
                     err.text);
        if (r == 0)
            cr_expect_eq(n->nid, cases[i].nid, "case '%s': %u", cases[i].name,
                         n->nid);
        else
            cr_expect(strstr(err.text, cases[i].text), "case '%s': %s",
                      cases[i].name, err.text);
    }
}

Test(place, without_nodes_says_so)
{
    struct place_snapshot none = { NULL, 0, NULL, 0 };
    struct place_request q = { 1, "", "", 0, "" };
    const struct place_node *n;
    struct sc_err err;
    cr_expect_eq(place(&none, &q, &n, &err), -EHOSTUNREACH);
}

Test(place, an_error_for_very_many_nodes_is_cut_not_overrun)
{
    struct place_node many[200];
    for (size_t i = 0; i < 200; i++)
        many[i] = (struct place_node){
            (uint16_t)(i + 1), "i", "a-long-name", "r", NULL, 1, 0
        };
    struct place_snapshot s = { many, 200, NULL, 0 };
    struct place_request q = { 2, "", "", 0, "" };
    const struct place_node *n;
    struct sc_err err;
    cr_expect_eq(place(&s, &q, &n, &err), -ENOSPC);
    cr_expect_lt(strlen(err.text), (size_t)SC_ERR_TEXT);
}

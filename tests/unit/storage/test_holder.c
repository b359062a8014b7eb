/* Tests of daemons/storage/holder.c. */
#include "storage/holder.h"

#include <criterion/criterion.h>

static const struct holder_weights weights = { .ms_per_price = 100 };

static const struct {
    const char *name;
    struct holder_option options[3];
    size_t n, want;
} choices[] = {
    { "nobody", { { 0 } }, 0, SIZE_MAX },
    { "the nearer",
      { { 1, true, 80, 0 }, { 2, true, 10, 0 }, { 3, true, 30, 0 } },
      3,
      1 },
    { "cheap though far", { { 1, true, 10, 1 }, { 2, true, 80, 0 } }, 2, 1 },
    { "near enough to pay for",
      { { 1, true, 10, 1 }, { 2, true, 200, 0 } },
      2,
      0 },
    { "up before near", { { 1, false, 1, 0 }, { 2, true, 300, 1 } }, 2, 1 },
    { "down is better than nobody", { { 1, false, 1, 0 } }, 1, 0 },
    { "never measured is far",
      { { 1, true, -1, 0 }, { 2, true, 499, 0 } },
      2,
      1 },
    { "the smaller nid of equals",
      { { 9, true, 5, 0 }, { 4, true, 5, 0 } },
      2,
      1 },
};

Test(holder, the_cheapest_is_chosen)
{
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        cr_expect_eq(
            cheapest_holder(choices[i].options, choices[i].n, &weights),
            choices[i].want, "%s", choices[i].name);
}

/* Paper section 3.2.3, K = 1000. */
static const struct {
    const char *name;
    double s;
    uint32_t fr, fw;
    double want;
} priorities[] = {
    { "never written", 1, 50, 0, -1 },
    { "never touched", 1, 0, 0, -1 },
    { "written more than read", 1, 9, 10, -1 },
    { "read as often as written", 1, 10, 10, 1010 },
    { "read ten times as often", 1, 10, 1, 10010 },
    { "the same ratio, read more", 1, 100, 10, 10100 },
    { "a larger S holds back", 3, 20, 10, -1 },
    { "a smaller S lets through", 0.1, 5, 10, 505 },
};

Test(holder, propagation_priority_is_the_papers)
{
    for (size_t i = 0; i < sizeof priorities / sizeof *priorities; i++) {
        struct propagation_knobs k = { 1000, priorities[i].s };
        cr_expect_float_eq(
            propagation_priority(&k, priorities[i].fr, priorities[i].fw),
            priorities[i].want, 1e-9, "%s", priorities[i].name);
    }
}

/* The parent, with scripts in the place of its child. */
#include "node/probes.h"

#include "common/json.h"
#include "common/log.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/stat.h>

struct world {
    struct sc_loop *loop;
    char script[64];
    struct probes *p;
    unsigned n_told;
    char told[256];
};

static cJSON *ask(void *arg)
{
    (void)arg;
    return cJSON_Parse("{\"question\": 42}");
}

static void hear(void *arg, cJSON *report)
{
    struct world *w = arg;
    SC_AUTO(cjson_free) cJSON *owned = report;
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(owned);
    w->n_told++;
    snprintf(w->told, sizeof w->told, "%s", text);
}

static void world_start(struct world *w, const char *script, uint64_t period_ms,
                        uint64_t limit_ms)
{
    struct sc_err err;
    memset(w, 0, sizeof *w);
    sc_log_level_set(SC_LOG_ERROR);
    strcpy(w->script, "/tmp/sc-unit.XXXXXX");
    int fd = mkstemp(w->script);
    cr_assert(fd >= 0 && dprintf(fd, "#!/bin/sh\n%s\n", script) > 0 &&
              fchmod(fd, 0755) == 0);
    close(fd);
    cr_assert_eq(sc_loop_new(false, &w->loop, &err), 0);
    struct probes_options o = { .loop = w->loop,
                                .program = w->script,
                                .first_ms = 1,
                                .period_ms = period_ms,
                                .limit_ms = limit_ms,
                                .ask = ask,
                                .tell = hear,
                                .arg = w };
    cr_assert_eq(probes_new(&o, &w->p, &err), 0);
}

static void world_p(struct world *w)
{
    probes_free(w->p);
    sc_loop_free(w->loop);
    unlink(w->script);
}
#define WORLD(name) __attribute__((cleanup(world_p))) struct world name

#define UNTIL(w, condition)                                                    \
    do {                                                                       \
        uint64_t end_ = sc_mono_ms() + 20000;                                  \
        while (!(condition) && sc_mono_ms() < end_)                            \
            sc_loop_run_once((w)->loop, 20);                                   \
        cr_assert(condition, "it did not come to: " #condition);               \
    } while (0)

#define REPORT "echo '{\"at\": 7, \"probes\": [{\"name\": \"x\"}]}'"

Test(probes, nothing_runs_before_it_is_asked_to_begin)
{
    WORLD(w);
    world_start(&w, REPORT, 0, 10000);
    for (int i = 0; i < 10; i++)
        sc_loop_run_once(w.loop, 5);
    cr_expect_null(probes_report(w.p));
    probes_begin(w.p);
    UNTIL(&w, w.n_told == 1);
    SC_AUTO(cjson_free) cJSON *r = probes_report(w.p);
    cr_expect_eq(cJSON_GetObjectItem(r, "at")->valuedouble, 7);
    cr_expect(strstr(w.told, "\"name\":\"x\""), "%s", w.told);
}

Test(probes, the_child_is_told_what_to_probe_and_how_it_is_called)
{
    WORLD(w);
    world_start(&w,
                "printf '{\"at\": 1, \"probes\": [%s, \"%s\"]}' \"$(cat)\" "
                "\"$1\"",
                0, 10000);
    probes_begin(w.p);
    UNTIL(&w, w.n_told == 1);
    cr_expect(strstr(w.told, "{\"question\":42},\"--probes\""), "%s", w.told);
}

Test(probes, it_runs_again_each_period)
{
    WORLD(w);
    world_start(&w, REPORT, 1, 10000);
    probes_begin(w.p);
    probes_begin(w.p);
    UNTIL(&w, w.n_told >= 3);
}

Test(probes, a_child_that_fails_or_talks_nonsense_tells_nothing)
{
    static const char *const scripts[] = { REPORT "; exit 3", "echo nonsense",
                                           "exit 0", "echo '{\"at\": 1}'" };
    for (size_t i = 0; i < SC_ARRAY_LEN(scripts); i++) {
        WORLD(w);
        world_start(&w, scripts[i], 0, 10000);
        probes_begin(w.p);
        for (int k = 0; k < 40; k++)
            sc_loop_run_once(w.loop, 5);
        cr_expect_eq(w.n_told, 0, "case '%s'", scripts[i]);
    }
}

Test(probes, a_child_that_hangs_is_ended_and_the_next_one_runs)
{
    WORLD(w);
    char once[128];
    world_start(&w, "true", 10, 100);
    snprintf(once, sizeof once, "%s.once", w.script);
    FILE *f = fopen(w.script, "w");
    cr_assert(f);
    fprintf(f,
            "#!/bin/sh\nif [ -e %s ]; then " REPORT
            "; else : >%s; sleep 1000; fi\n",
            once, once);
    fclose(f);
    probes_begin(w.p);
    UNTIL(&w, w.n_told >= 1);
    unlink(once);
}

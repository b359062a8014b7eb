/* Tests of daemons/controller/worker.c: real processes, scripts that speak (or
 * break) the protocol of `sc-provider worker`. */
#include "controller/worker.h"

#include "common/json.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

struct run {
    struct sc_loop *loop;
    struct worker_pool *pool;
    char script[64];
    char lines[8][200];
    unsigned n_lines, n_done;
    char *result;
    struct sc_err err;
};

static void on_line(void *arg, const cJSON *line)
{
    struct run *r = arg;
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(line);
    if (r->n_lines < SC_ARRAY_LEN(r->lines))
        snprintf(r->lines[r->n_lines++], sizeof *r->lines, "%s", text);
}

static void on_done(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct run *r = arg;
    r->n_done++;
    r->err = *err;
    free(r->result);
    r->result = result ? cJSON_PrintUnformatted(result) : NULL;
}

/* 'body' is the rest of a shell script. */
static struct run setup(const char *body)
{
    struct run r = { .script = "/tmp/sc-worker-XXXXXX" };
    struct sc_err err;
    int fd = mkstemp(r.script);
    cr_assert_geq(fd, 0);
    dprintf(fd, "#!/bin/sh\n%s\n", body);
    fchmod(fd, 0755);
    close(fd);
    cr_assert_eq(sc_loop_new(false, &r.loop, &err), 0);
    cr_assert_eq(worker_pool_new(r.loop, r.script, &r.pool, &err), 0);
    return r;
}

static void teardown(struct run *r)
{
    worker_pool_free(r->pool);
    sc_loop_free(r->loop);
    unlink(r->script);
    free(r->result);
}

static void wait_done(struct run *r)
{
    for (int i = 0; i < 400 && !r->n_done; i++)
        sc_loop_run_once(r->loop, 50);
    cr_assert_eq(r->n_done, 1u, "it ends once");
}

static cJSON *request(void)
{
    return cJSON_Parse("{\"call\":\"check\",\"config\":{\"key\":\"s3cret\"}}");
}

static void go(struct run *r, uint64_t timeout_ms)
{
    (void)worker_start(r->pool, request(), timeout_ms, on_line, on_done, r);
    cr_expect_eq(r->n_done, 0u, "never from inside");
    wait_done(r);
}

Test(worker, lines_come_in_order_and_the_result_last)
{
    struct run r = setup("[ \"$1\" = worker ] || exit 9\n"
                         "echo '{\"progress\":{\"stage\":\"a\"}}'\n"
                         "echo '{\"save\":{\"x\":1}}'\n"
                         "printf '{\"result\":{\"got\":'; cat; echo '}}'");
    go(&r, 10000);
    cr_expect_eq(r.err.code, 0, "%s", r.err.text);
    cr_assert_eq(r.n_lines, 2u);
    cr_expect_str_eq(r.lines[0], "{\"progress\":{\"stage\":\"a\"}}");
    cr_expect_str_eq(r.lines[1], "{\"save\":{\"x\":1}}");
    cr_expect(strstr(r.result, "s3cret"), "standard input, whole: %s",
              r.result);
    teardown(&r);
}

Test(worker, its_environment_and_descriptors_are_clean)
{
    setenv("SC_TEST_SECRET", "leaked", 1);
    struct run r = setup("cat >/dev/null\n"
                         "n=$(ls /proc/self/fd | wc -l)\n"
                         "echo \"{\\\"result\\\":{\\\"env\\\":\\\"$(env | "
                         "cut -d= -f1 | sort | tr '\\n' ' ')\\\","
                         "\\\"fds\\\":$n}}\"");
    go(&r, 10000);
    cr_expect_eq(r.err.code, 0, "%s", r.err.text);
    cr_expect_not(strstr(r.result, "SC_TEST_SECRET"), "%s", r.result);
    cr_expect(strstr(r.result, "HOME LANG PATH PWD"), "%s", r.result);
    /* 0, 1, 2 and the one ls reads the folder by. */
    cr_expect(strstr(r.result, "\"fds\":4"), "%s", r.result);
    teardown(&r);
}

Test(worker, an_error_is_told_in_its_own_words)
{
    struct run r = setup("cat >/dev/null; echo '{\"error\":{\"code\":"
                         "\"EACCES\",\"message\":\"ec2: no\"}}'; exit 0");
    go(&r, 10000);
    cr_expect_eq(r.err.code, -EACCES);
    cr_expect_str_eq(r.err.text, "ec2: no");
    cr_expect_null(r.result);
    teardown(&r);
}

Test(worker, one_that_breaks_the_protocol_is_ended)
{
    static const struct {
        const char *body;
        int code;
    } cases[] = {
        { "cat >/dev/null; exit 3", -EIO },
        { "exit 0", -EIO },
        { "kill -SEGV $$", -EIO },
        { "echo hello; sleep 60", -EPROTO },
        { "echo '[1]'; sleep 60", -EPROTO },
        { "echo '{\"result\":{}}'; echo '{\"save\":{}}'; sleep 60", -EPROTO },
        { "printf '{\"result\":'", -EIO },
        { "head -c 20000000 /dev/zero | tr '\\0' x; sleep 60", -EPROTO },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        struct run r = setup(cases[i].body);
        go(&r, 10000);
        cr_expect_eq(r.err.code, cases[i].code, "case %zu: %s", i, r.err.text);
        cr_expect_null(r.result);
        teardown(&r);
    }
}

Test(worker, a_request_that_nobody_reads_does_no_harm)
{
    struct run r = setup("echo '{\"result\":{}}'");
    cJSON *q = request();
    SC_AUTO(free) char *big = malloc(1 << 20);
    memset(big, 'y', (1 << 20) - 1);
    big[(1 << 20) - 1] = '\0';
    cJSON_AddStringToObject(q, "big", big);
    (void)worker_start(r.pool, q, 10000, on_line, on_done, &r);
    wait_done(&r);
    cr_expect_eq(r.err.code, 0, "%s", r.err.text);
    teardown(&r);
}

Test(worker, over_its_time_it_is_asked_and_then_killed)
{
    struct run polite = setup("trap 'echo \"{\\\"error\\\":{\\\"code\\\":"
                              "\\\"ECANCELED\\\",\\\"message\\\":\\\"undone"
                              "\\\"}}\"; exit 0' TERM\n"
                              "while :; do sleep 0.05; done");
    go(&polite, 300);
    cr_expect_eq(polite.err.code, -ETIMEDOUT, "%s", polite.err.text);
    teardown(&polite);
    struct run deaf = setup("trap '' TERM; while :; do sleep 0.05; done");
    uint64_t before = sc_mono_ms();
    go(&deaf, 400);
    cr_expect_eq(deaf.err.code, -ETIMEDOUT);
    cr_expect_lt(sc_mono_ms() - before, 10000u);
    teardown(&deaf);
}

Test(worker, cancelled_it_ends_and_says_so)
{
    struct run r = setup("while :; do sleep 0.05; done");
    struct worker *w =
        worker_start(r.pool, request(), 60000, on_line, on_done, &r);
    cr_assert_not_null(w);
    worker_cancel(w);
    wait_done(&r);
    cr_expect_eq(r.err.code, -ECANCELED);
    teardown(&r);
}

Test(worker, a_child_of_its_own_that_holds_the_pipe_keeps_nobody_waiting)
{
    struct run r = setup("echo '{\"result\":{}}'; sleep 30 &");
    uint64_t before = sc_mono_ms();
    go(&r, 60000);
    cr_expect_eq(r.err.code, 0, "%s", r.err.text);
    cr_expect_lt(sc_mono_ms() - before, 15000u);
    teardown(&r);
}

Test(worker, the_end_of_the_pool_ends_every_run)
{
    struct run r = setup("echo $$ >$0.pid; while :; do sleep 0.05; done");
    char path[96];
    int pid = 0;
    snprintf(path, sizeof path, "%s.pid", r.script);
    (void)worker_start(r.pool, request(), 60000, on_line, on_done, &r);
    for (int i = 0; i < 400 && !pid; i++) {
        FILE *f = fopen(path, "r");
        sc_loop_run_once(r.loop, 20);
        if (f && fscanf(f, "%d", &pid) != 1)
            pid = 0;
        if (f)
            fclose(f);
    }
    cr_assert_gt(pid, 0);
    worker_pool_free(SC_TAKE(r.pool));
    cr_expect_eq(r.n_done, 1u);
    cr_expect_eq(r.err.code, -ESHUTDOWN);
    cr_expect_eq(kill(pid, 0), -1);
    unlink(path);
    teardown(&r);
}

Test(worker, there_are_only_so_many_at_once)
{
    struct run r = setup("sleep 60");
    struct run many[WORKERS_MAX];
    memset(many, 0, sizeof many);
    for (int i = 0; i < WORKERS_MAX; i++)
        cr_assert(
            worker_start(r.pool, request(), 60000, NULL, on_done, &many[i]));
    go(&r, 1000);
    cr_expect_eq(r.err.code, -EAGAIN, "%s", r.err.text);
    teardown(&r);
}

Test(worker, a_program_that_is_not_there_is_named)
{
    struct run r = setup("");
    unlink(r.script);
    go(&r, 1000);
    cr_expect_eq(r.err.code, -ENOENT);
    cr_expect(strstr(r.err.text, r.script), "%s", r.err.text);
    teardown(&r);
}

Test(worker, the_list_of_drivers_is_one_document)
{
    struct run r = setup("[ \"$1\" = drivers ] && printf '[\\n {\"name\":\\n "
                         "\"x\"}\\n]\\n'");
    (void)worker_start(r.pool, NULL, 10000, NULL, on_done, &r);
    wait_done(&r);
    cr_expect_eq(r.err.code, 0, "%s", r.err.text);
    cr_expect_str_eq(r.result, "[{\"name\":\"x\"}]");
    teardown(&r);
    r = setup("echo nonsense");
    (void)worker_start(r.pool, NULL, 10000, NULL, on_done, &r);
    wait_done(&r);
    cr_expect_eq(r.err.code, -EIO);
    teardown(&r);
}

Test(worker, wiping_leaves_no_text)
{
    SC_AUTO(cjson_free)
    cJSON *j = cJSON_Parse("{\"a\":\"one\",\"b\":[{\"c\":\"two\"}],\"d\":3}");
    worker_wipe(j);
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(j);
    cr_expect_not(strstr(text, "one"));
    cr_expect_not(strstr(text, "two"));
}

Test(worker, one_is_found_by_its_argument_until_it_has_ended)
{
    struct run r = setup("trap 'exit 3' TERM\nsleep 30 & wait");
    cr_expect_null(worker_find(r.pool, &r));
    struct worker *w =
        worker_start(r.pool, request(), 60000, on_line, on_done, &r);
    cr_assert(w);
    cr_expect_eq(worker_find(r.pool, &r), w);
    cr_expect_null(worker_find(r.pool, &w));
    worker_cancel(w);
    wait_done(&r);
    cr_expect_eq(r.err.code, -ECANCELED);
    cr_expect_null(worker_find(r.pool, &r));
    teardown(&r);
}

Test(worker, one_that_could_not_begin_is_not_found)
{
    struct run r = setup("");
    unlink(r.script);
    cr_expect_null(
        worker_start(r.pool, request(), 60000, on_line, on_done, &r));
    cr_expect_null(worker_find(r.pool, &r), "its end is due");
    wait_done(&r);
    cr_expect_neq(r.err.code, -ECANCELED);
    teardown(&r);
}

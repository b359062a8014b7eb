/* The emulated WAN with real datagram sockets in place of machines. */
#include "wan/wan.h"

#include "common/json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

struct machine {
    int fd;
    char local[108], remote[108]; /* The machine's socket, the WAN's. */
};

static char folder[32];
static struct sc_loop *loop;
static struct wan *wan;

static void set_up(void)
{
    struct sc_err err;
    struct link_params none = { 0 };
    snprintf(folder, sizeof folder, "/tmp/wan.XXXXXX");
    cr_assert(mkdtemp(folder));
    cr_assert_eq(sc_loop_new(false, &loop, &err), 0);
    cr_assert_eq(wan_new(loop, &none, &wan, &err), 0);
}

static void tear_down(void)
{
    char command[64];
    wan_free(wan);
    sc_loop_free(loop);
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_expect_eq(system(command), 0);
}

TestSuite(wan, .init = set_up, .fini = tear_down);

static struct machine attach(const char *name)
{
    struct machine m;
    struct sc_err err = { 0 };
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(m.local, sizeof m.local, "%s/%s.vm", folder, name);
    snprintf(m.remote, sizeof m.remote, "%s/%s.wan", folder, name);
    cr_assert_eq(wan_attach(wan, name, m.remote, m.local, &err), 0, "%s",
                 err.text);
    m.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", m.local);
    cr_assert_eq(bind(m.fd, (void *)&a, sizeof a), 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", m.remote);
    cr_assert_eq(connect(m.fd, (void *)&a, sizeof a), 0);
    return m;
}

static void send_frame(struct machine *m, uint8_t to, uint8_t from)
{
    uint8_t f[60] = {
        [0] = to == 0xff ? 0xff : 2, [5] = to, [6] = 2, [11] = from, [12] = 8
    };
    cr_assert_eq(send(m->fd, f, sizeof f, 0), (ssize_t)sizeof f);
    sc_loop_run_once(loop, 100);
}

/* True if a frame arrives within 'turns' turns of the loop. */
static bool receives(struct machine *m, int turns)
{
    uint8_t f[2048];
    for (; turns > 0; turns--) {
        if (recv(m->fd, f, sizeof f, 0) > 0)
            return true;
        sc_loop_run_once(loop, 20);
    }
    return false;
}

static int set(const char *a, const char *b, const char *json,
               struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(json);
    return wan_set(wan, a, b, o, err);
}

Test(wan, a_frame_for_a_known_machine_goes_to_it_alone)
{
    struct machine a = attach("a"), b = attach("b"), c = attach("c");
    send_frame(&b, 0xff, 11);
    cr_expect(receives(&a, 5), "a broadcast reaches everyone");
    cr_expect(receives(&c, 5));
    send_frame(&a, 11, 10);
    cr_expect(receives(&b, 5));
    cr_expect_not(receives(&c, 2));
    close(a.fd);
    close(b.fd);
    close(c.fd);
}

Test(wan, a_partition_cuts_one_pair_in_both_directions_until_it_is_mended)
{
    struct machine a = attach("a"), b = attach("b"), c = attach("c");
    cr_assert_eq(set("a", "b", "{\"partitioned\": true}", NULL), 0);
    send_frame(&a, 0xff, 10);
    cr_expect(receives(&c, 5));
    cr_expect_not(receives(&b, 2));
    send_frame(&b, 0xff, 11);
    cr_expect_not(receives(&a, 2));
    cr_assert_eq(set("a", "b", "{\"partitioned\": false}", NULL), 0);
    send_frame(&a, 0xff, 10);
    cr_expect(receives(&b, 5));
    close(a.fd);
    close(b.fd);
    close(c.fd);
}

Test(wan, the_delay_is_half_the_round_trip_each_way)
{
    struct machine a = attach("a"), b = attach("b");
    cr_assert_eq(set("a", "b", "{\"rtt_ms\": 100}", NULL), 0);
    uint64_t t = sc_mono_ms();
    send_frame(&a, 0xff, 10);
    cr_assert(receives(&b, 50));
    t = sc_mono_ms() - t;
    cr_expect_geq(t, 50);
    cr_expect_lt(t, 400);
    SC_AUTO(cjson_free) cJSON *shown = wan_show(wan);
    cr_expect(cJSON_IsTrue(cJSON_GetObjectItem(shown, "emulated")));
    close(a.fd);
    close(b.fd);
}

Test(wan, a_machine_attached_later_has_the_defaults_set_for_everyone)
{
    struct machine a = attach("a");
    cr_assert_eq(set("*", "*", "{\"partitioned\": true}", NULL), 0);
    struct machine b = attach("b");
    send_frame(&a, 0xff, 10);
    cr_expect_not(receives(&b, 2));
    close(a.fd);
    close(b.fd);
}

static const struct {
    const char *json, *want;
} bad[] = {
    { "{\"rtt_ms\": -1}", "rtt_ms" },
    { "{\"loss_percent\": 101}", "loss_percent" },
    { "{\"rate_mbit\": \"fast\"}", "rate_mbit" },
    { "{\"partitioned\": 1}", "partitioned" },
    { "{\"speed\": 1}", "speed" },
};

Test(wan, bad_settings_are_named_and_change_nothing)
{
    struct link_params p = { .delay_ns = 5 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sc_err err = { 0 };
        SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(bad[i].json);
        cr_expect_eq(wan_params_parse(o, &p, &err), -EINVAL, "%s", bad[i].json);
        cr_expect(strstr(err.text, bad[i].want), "%s: %s", bad[i].json,
                  err.text);
    }
    cr_expect_eq(p.delay_ns, 5);
}

Test(wan, detaching_frees_the_name_and_an_unknown_name_is_said)
{
    struct machine a = attach("a");
    struct sc_err err = { 0 };
    cr_expect_eq(wan_attach(wan, "a", "/tmp/x", "/tmp/y", &err), -EEXIST);
    cr_expect_eq(wan_attach(wan, "a", a.remote, a.local, &err), 0);
    cr_expect_eq(wan_detach(wan, "a", &err), 0);
    cr_expect_eq(wan_detach(wan, "a", &err), -ENOENT);
    cr_expect_eq(set("a", "*", "{}", &err), -ENOENT);
    close(a.fd);
}

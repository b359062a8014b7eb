/* probes_main - the probing child of sc-node (probes.h).
 *
 * Each probe in a process of its own: what a kernel promises may end in a
 * crash or not at all.  Its result comes back over a pipe, whole, in one
 * write. */
#include "common/json.h"
#include "common/loop.h"
#include "node/probes.h"
#include "node/probes_measure.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
    ASK_MAX = 64 << 10,
    IOPRIO_LAST = 2 << 13 | 7, /* linux/ioprio.h: best effort, after all. */
    IOPRIO_WHO_PROCESS = 1,
};

static const struct {
    const char *name;
    probes_measure_fn *run;
    int limit_s;
} table[] = {
    { "cpuid-faulting", probes_cpuid, 5 },
    { "kvm", probes_kvm, 10 },
    { "clock", probes_clock, 10 },
    { "disk", probes_disk, 20 },
    { "nic", probes_nic, 5 },
    { "mtu", probes_mtu, 30 },
};

static void ended(const char *how, struct probe_result *ret)
{
    *ret = (struct probe_result){ .ok = false };
    snprintf(ret->value, sizeof ret->value, "the probe %s", how);
    snprintf(ret->why, sizeof ret->why,
             "what it tried does not work on this machine: see 'dmesg'");
}

static void run_one(size_t i, const struct probes_ask *q,
                    struct probe_result *ret)
{
    int fds[2], status = 0;
    char how[64];
    if (pipe(fds) < 0) {
        ended("could not begin", ret);
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        struct probe_result r = { 0 };
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, 0); /* What it starts ends with it. */
        close(fds[0]);
        table[i].run(q, &r);
        _exit(write(fds[1], &r, sizeof r) != sizeof r);
    }
    close(fds[1]);
    struct pollfd p = { .fd = fds[0], .events = POLLIN };
    bool late = pid > 0 && poll(&p, 1, table[i].limit_s * 1000) == 0;
    bool whole = !late && read(fds[0], ret, sizeof *ret) == sizeof *ret;
    close(fds[0]);
    if (pid > 0) {
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    if (late)
        snprintf(how, sizeof how, "took longer than %d s", table[i].limit_s);
    else if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(how, sizeof how, "ended without a result");
    if (!whole)
        ended(how, ret);
}

static bool read_hex(const char *text, uint8_t *ret, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned v;
        if (sscanf(text + 2 * i, "%2x", &v) != 1)
            return false;
        ret[i] = (uint8_t)v;
    }
    return true;
}

static bool read_peer(const cJSON *o, struct probes_peer *ret)
{
    char mapped[80];
    struct json_reader r = json_read(o, "peer");
    const char *name = json_str(&r, "name", 1, sizeof ret->name - 1);
    const char *address = json_str(&r, "address", 1, 63);
    ret->at = (struct sockaddr_in6){ .sin6_family = AF_INET6 };
    ret->at.sin6_port = htons((uint16_t)json_int(&r, "port", 1, 65535));
    snprintf(ret->name, sizeof ret->name, "%s", name);
    snprintf(mapped, sizeof mapped, "::ffff:%s", address);
    return json_done(&r, NULL) == 0 &&
           (inet_pton(AF_INET6, address, &ret->at.sin6_addr) == 1 ||
            inet_pton(AF_INET6, mapped, &ret->at.sin6_addr) == 1);
}

static int read_ask(const char *text, struct probes_ask *ret,
                    struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(text);
    const cJSON *clock = cJSON_GetObjectItemCaseSensitive(o, "clock"), *peer;
    struct json_reader r = json_read(o, "probes");
    snprintf(ret->hypervisor, sizeof ret->hypervisor, "%s",
             json_str(&r, "hypervisor", 1, sizeof ret->hypervisor - 1));
    snprintf(ret->state_dir, sizeof ret->state_dir, "%s",
             json_str(&r, "state_dir", 1, sizeof ret->state_dir - 1));
    snprintf(ret->address, sizeof ret->address, "%s",
             json_str(&r, "address", 1, sizeof ret->address - 1));
    ret->nid = (uint16_t)json_int(&r, "nid", 1, 65535);
    const char *nonce = json_str(&r, "nonce", 2 * PROBE_NONCE, 2 * PROBE_NONCE);
    const cJSON *peers = json_arr(&r, "peers");
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    if (!read_hex(nonce, ret->nonce, PROBE_NONCE))
        return sc_fail(err, -EINVAL, "probes: 'nonce' is not hexadecimal");
    cJSON_ArrayForEach(peer, peers)
    {
        if (ret->n_peers < PROBES_PEERS_MAX &&
            read_peer(peer, &ret->peers[ret->n_peers]))
            ret->n_peers++;
    }
    if (!clock)
        return 0;
    struct json_reader c = json_read(clock, "probes.clock");
    ret->clock.offset_us =
        json_int(&c, "offset_us", -(INT64_C(1) << 52), INT64_C(1) << 52);
    ret->clock.round_trip_us =
        (uint64_t)json_int(&c, "round_trip_us", 0, INT64_C(1) << 40);
    ret->clock.heard = true;
    return json_done(&c, err);
}

int probes_main(void)
{
    struct probes_ask q = { 0 };
    struct sc_err err = { 0 };
    SC_AUTO(free) char *text = calloc(1, ASK_MAX + 1);
    size_t size = text ? fread(text, 1, ASK_MAX, stdin) : 0;
    if (size == 0 || read_ask(text, &q, &err) < 0) {
        fprintf(stderr, "sc-node --probes: %s\n",
                *err.text ? err.text : "nothing to read");
        return 1;
    }
    /* Whatever else runs here comes first. */
    setpriority(PRIO_PROCESS, 0, 19);
    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_LAST);
    SC_AUTO(cjson_free) cJSON *report = cJSON_CreateObject();
    cJSON *list = NULL;
    json_set_u64(report, "at", sc_wall_ms());
    list = cJSON_AddArrayToObject(report, "probes");
    for (size_t i = 0; i < SC_ARRAY_LEN(table); i++) {
        struct probe_result r;
        run_one(i, &q, &r);
        cJSON_AddItemToArray(list, probe_result_json(table[i].name, &r));
    }
    SC_AUTO(free) char *out = cJSON_PrintUnformatted(report);
    return !out || puts(out) < 0 || fflush(stdout) != 0;
}

/* The whole probing child, asked over pipes as sc-node asks it. */
#include "node/probes.h"

#include "common/json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/wait.h>

static cJSON *run(const char *ask, int *ret_status)
{
    int in[2], out[2];
    char text[8192] = "";
    size_t size = 0;
    cr_assert(pipe(in) == 0 && pipe(out) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        _exit(probes_main());
    }
    close(in[0]);
    close(out[1]);
    cr_assert_eq(write(in[1], ask, strlen(ask)), (ssize_t)strlen(ask));
    close(in[1]);
    for (ssize_t n;
         (n = read(out[0], text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)n;
    close(out[0]);
    cr_assert_eq(waitpid(pid, ret_status, 0), pid);
    return cJSON_Parse(text);
}

Test(probes_main, every_probe_has_its_result_in_order)
{
    static const char *const names[] = { "cpuid-faulting", "kvm", "clock",
                                         "disk",           "nic", "mtu" };
    int status = 0;
    SC_AUTO(cjson_free)
    cJSON *o = run("{\"hypervisor\": \"fake\", \"state_dir\": \"/tmp\", "
                   "\"address\": \"127.0.0.1\", \"nid\": 1, "
                   "\"nonce\": \"0011223344556677\", \"peers\": [], "
                   "\"clock\": {\"offset_us\": 5, \"round_trip_us\": 5}}",
                   &status);
    const cJSON *list = cJSON_GetObjectItem(o, "probes");
    cr_assert_eq(status, 0);
    cr_assert_eq(cJSON_GetArraySize(list), (int)SC_ARRAY_LEN(names));
    for (size_t i = 0; i < SC_ARRAY_LEN(names); i++) {
        const cJSON *p = cJSON_GetArrayItem(list, (int)i);
        cr_expect_str_eq(cJSON_GetObjectItem(p, "name")->valuestring, names[i]);
        cr_expect(cJSON_GetObjectItem(p, "value")->valuestring[0]);
        cr_expect_null(
            strstr(cJSON_GetObjectItem(p, "value")->valuestring, "the probe "),
            "%s", cJSON_GetObjectItem(p, "value")->valuestring);
    }
}

Test(probes_main, a_bad_question_is_refused)
{
    static const char *const asks[] = { "", "{}", "nonsense",
                                        "{\"hypervisor\": \"fake\"}" };
    for (size_t i = 0; i < SC_ARRAY_LEN(asks); i++) {
        int status = 0;
        SC_AUTO(cjson_free) cJSON *o = run(asks[i], &status);
        cr_expect_null(o, "case %zu", i);
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 1, "case %zu", i);
    }
}

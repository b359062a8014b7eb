/* sc-provider - instances and images at a first-layer cloud.
 *
 * sc-provider worker            one call as JSON on standard input (worker.h)
 * sc-provider drivers           the drivers there are, as JSON
 * sc-provider DRIVER CONFIG.json CALL [OPTIONS]    for people (cli.h)
 * Exit status: 0, 1 failed, 2 usage. */
#include "provider/calls.h"
#include "provider/cli.h"
#include "provider/worker.h"

#include "common/json.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "worker")) {
        /* No credential in a core file. */
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        /* Dies with the controller, whose next life makes the call again: two
         * runs with one token must not work at the same time. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        worker_block_signals();
        return worker_run(stdin, stdout);
    }
    if (argc == 2 && !strcmp(argv[1], "drivers")) {
        SC_AUTO(cjson_free) cJSON *list = call_drivers();
        SC_AUTO(free) char *text = cJSON_Print(list);
        return text && puts(text) >= 0 ? 0 : 1;
    }
    if (argc == 2 && !strcmp(argv[1], "--help")) {
        cli_usage(stdout);
        return 0;
    }
    struct sc_err err = { 0 };
    int r = cli_run(argc - 1, argv + 1, &err);
    if (r == 0)
        return 0;
    if (*err.text) {
        fprintf(stderr, "sc-provider: %s\n", err.text);
        return 1;
    }
    cli_usage(stderr);
    return 2;
}

/* sc-network - the SDN controller of every Open vSwitch (paper section 3.3). */
#include "common/log.h"
#include "network/netd.h"

#include <getopt.h>
#include <stdio.h>

static int usage(FILE *to, int code)
{
    fprintf(to, "usage: sc-network [--config FILE] [--version]\n");
    return code;
}

int main(int argc, char *argv[])
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    const char *path = "/etc/supercloud/supercloud.json";
    for (int o; (o = getopt_long(argc, argv, "c:hV", options, NULL)) != -1;) {
        switch (o) {
        case 'c':
            path = optarg;
            break;
        case 'h':
            return usage(stdout, 0);
        case 'V':
            printf("sc-network %s\n", SC_VERSION);
            return 0;
        default:
            return usage(stderr, 2);
        }
    }
    if (optind != argc)
        return usage(stderr, 2);

    struct sc_err err;
    struct netd d = { 0 };
    SC_AUTO(sc_config_free) struct sc_config *config = NULL;
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    int r = sc_config_load(path, &config, &err);
    if (r == 0)
        r = sc_loop_new(true, &loop, &err);
    if (r == 0)
        r = netd_open(&d, loop, config, &err);
    if (r == 0)
        netd_run(&d);
    else
        sc_logf(SC_LOG_ERROR, "start", "%s", err.text);
    netd_close(&d);
    return r == 0 ? 0 : 1;
}

/* sc-node - the guests of one machine; see node.h and docs/protocols/rpc.md. */
#include "common/config.h"
#include "common/log.h"
#include "common/loop.h"
#include "node/node.h"
#include "node/probes.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static int usage(FILE *f, int code)
{
    fprintf(f, "usage: sc-node [--config FILE] [--log-level "
               "error|warn|info|debug] [--version]\n"
               "       sc-node --probes   (its own child: probes.h)\n"
               "Runs the guests of this machine for its Supercloud.\n");
    return code;
}

static int fail(const char *event, const struct sc_err *err)
{
    sc_log(SC_LOG_ERROR, event, "msg", err->text, NULL);
    return 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "log-level", required_argument, NULL, 'l' },
        { "version", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },
        { "probes", no_argument, NULL, 'p' },
        { 0 },
    };
    const char *path = "/etc/supercloud/supercloud.json";
    enum sc_log_level level = SC_LOG_INFO;
    for (int o; (o = getopt_long(argc, argv, "c:l:vh", options, NULL)) != -1;) {
        if (o == 'c') {
            path = optarg;
        } else if (o == 'v') {
            printf("sc-node %s\n", SC_VERSION);
            return 0;
        } else if (o == 'p') {
            return probes_main();
        } else if (o == 'h') {
            return usage(stdout, 0);
        } else if (o != 'l' || sc_log_level_parse(optarg, &level) < 0) {
            return usage(stderr, 2);
        }
    }
    sc_log_level_set(level);
    struct sc_err err = { 0 };
    SC_AUTO(sc_config_free) struct sc_config *config = NULL;
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    SC_AUTO(node_free) struct node *node = NULL;
    if (sc_config_load(path, &config, &err) < 0 ||
        sc_loop_new(true, &loop, &err) < 0 ||
        node_new(loop, config, &node, &err) < 0)
        return fail("node.start", &err);
    sc_log(SC_LOG_INFO, "node.start", "version", SC_VERSION, "node",
           config->name, "hypervisor", hv_driver(node->hv), NULL);
    int r = sc_loop_run(loop);
    sc_log(SC_LOG_INFO, "node.stop", NULL);
    return r < 0;
}

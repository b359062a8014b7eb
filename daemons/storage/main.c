/* sc-storage - geo-replicated blocks for the guests of one node. */
#include "common/config.h"
#include "common/log.h"
#include "common/loop.h"
#include "storage/storage.h"

#include <getopt.h>
#include <stdio.h>

static int usage(FILE *to, int code)
{
    fputs("usage: sc-storage [--config FILE] [--version]\n"
          "Keeps the blocks of volumes, serves them by NBD, and exchanges them "
          "with other nodes.\n"
          "  --config FILE  default /etc/supercloud/supercloud.json\n",
          to);
    return code;
}

static int fail(const struct sc_err *err)
{
    sc_log(SC_LOG_ERROR, "sc-storage.start", "error", err->text, NULL);
    return 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },
        { 0 },
    };
    const char *path = "/etc/supercloud/supercloud.json";
    for (int o; (o = getopt_long(argc, argv, "c:hv", options, NULL)) >= 0;) {
        if (o == 'c')
            path = optarg;
        else if (o == 'v')
            return puts("sc-storage " SC_VERSION) < 0;
        else
            return o == 'h' ? usage(stdout, 0) : usage(stderr, 2);
    }
    if (optind < argc)
        return usage(stderr, 2);

    struct sc_err err = { 0 };
    SC_AUTO(sc_config_free) struct sc_config *config = NULL;
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    SC_AUTO(storage_free) struct storage *st = NULL;
    if (sc_config_load(path, &config, &err) < 0 ||
        sc_loop_new(true, &loop, &err) < 0 ||
        storage_new(loop, config, &st, &err) < 0)
        return fail(&err);
    sc_log(SC_LOG_INFO, "sc-storage.start", "version", SC_VERSION, "nbd",
           nbd_server_path(st->nbd), NULL);
    int r = sc_loop_run(loop);
    storage_stop(st);
    sc_log(SC_LOG_INFO, "sc-storage.stop", NULL);
    return r < 0;
}

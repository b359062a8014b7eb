/* sc-controller: see server.h. */
#include "common/log.h"
#include "controller/server.h"
#include "controller/users.h"

#include <getopt.h>
#include <stdio.h>

static void usage(FILE *f)
{
    fputs("usage: sc-controller [--config FILE]\n"
          "       sc-controller [--config FILE] --set-password USER <FILE\n"
          "  --config        default /etc/supercloud/supercloud.json\n"
          "  --set-password  the password is the first line of standard "
          "input\n"
          "  --version, --help\n",
          f);
}

static int fail(const char *what, const struct sc_err *err)
{
    sc_log(SC_LOG_ERROR, what, "error", err->text, NULL);
    return 1;
}

static int run(const struct sc_config *config)
{
    struct sc_err err;
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    SC_AUTO(server_free) struct server *server = NULL;
    if (sc_loop_new(true, &loop, &err) < 0 ||
        server_new(loop, config, &server, &err) < 0)
        return fail("start", &err);
    sc_log(SC_LOG_INFO, "start", "program", "sc-controller", "version",
           SC_VERSION, "rpc", config->controller_listen, "console",
           config->console_listen, NULL);
    int r = sc_loop_run(loop);
    sc_log(SC_LOG_INFO, "stop", "program", "sc-controller", NULL);
    return r < 0 || server_broken(server) ? 1 : 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "set-password", required_argument, NULL, 'p' },
        { "version", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    const char *path = "/etc/supercloud/supercloud.json", *user = NULL;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'c') {
            path = optarg;
        } else if (o == 'p') {
            user = optarg;
        } else if (o == 'v') {
            puts("sc-controller " SC_VERSION);
            return 0;
        } else {
            usage(o == 'h' ? stdout : stderr);
            return o == 'h' ? 0 : 2;
        }
    }
    if (optind != argc) {
        usage(stderr);
        return 2;
    }
    struct sc_err err;
    SC_AUTO(sc_config_free) struct sc_config *config = NULL;
    if (sc_config_load(path, &config, &err) < 0)
        return fail("config", &err);
    if (user)
        return users_set_password(config, user, &err) < 0
                   ? fail("set-password", &err)
                   : 0;
    return run(config);
}

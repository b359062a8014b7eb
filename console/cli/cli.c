/* cli - see cli.h: from argv to an exit code. */
#include "cli/cli.h"

#include "cli/remote.h"

#include <locale.h>
#include <signal.h>
#include <string.h>

static const struct {
    int code;
    enum cli_exit exit;
} exits[] = {
    { EINVAL, CLI_USAGE },
    { ENOENT, CLI_NOT_FOUND },
    { EPERM, CLI_DENIED },
    { EACCES, CLI_DENIED },
    { EEXIST, CLI_CONFLICT },
    { EBUSY, CLI_CONFLICT },
    { ESTALE, CLI_CONFLICT },
    { EALREADY, CLI_CONFLICT },
    { ENOSPC, CLI_NO_ROOM },
    { EDQUOT, CLI_NO_ROOM },
    { EFBIG, CLI_NO_ROOM },
    { EHOSTUNREACH, CLI_UNREACHABLE },
    { ECONNREFUSED, CLI_UNREACHABLE },
    { ECONNRESET, CLI_UNREACHABLE },
    { ETIMEDOUT, CLI_UNREACHABLE },
    { ENOTCONN, CLI_UNREACHABLE },
    { ESHUTDOWN, CLI_UNREACHABLE },
};

enum cli_exit cli_exit_of(int code)
{
    int e = code < 0 ? -code : code;
    for (size_t i = 0; i < SC_ARRAY_LEN(exits); i++)
        if (exits[i].code == e)
            return exits[i].exit;
    return e ? CLI_FAILED : CLI_OK;
}

int cli_fail(struct cli *cli, const struct sc_err *err)
{
    fprintf(cli->log, "supercloud: %s\n", err->text);
    if (err->code == -EPERM)
        fputs("Log in with: supercloud login [URL]\n", cli->log);
    return cli_exit_of(err->code);
}

static int usage_error(struct cli *cli, const struct cli_args *a,
                       const struct sc_err *err)
{
    fprintf(cli->log, "supercloud: %s\n", err->text);
    if (a->command)
        fprintf(cli->log, "Try: supercloud help %s\n", a->command->name);
    else if (a->pos[0])
        cli_help_group(cli->log, a->pos[0]);
    else
        fputs("Try: supercloud help\n", cli->log);
    return CLI_USAGE;
}

int cli_main(int argc, char **argv)
{
    struct cli cli = { .out = stdout, .log = stderr };
    cli.is_tty = isatty(fileno(stderr)) == 1;
    setlocale(LC_TIME, "");
    signal(SIGPIPE, SIG_IGN);
    struct cli_args a;
    struct sc_err err = { 0 };
    if (cli_parse(argc, argv, &a, &err) < 0)
        return usage_error(&cli, &a, &err);
    if (a.help) {
        if (!a.command && a.pos[0])
            cli_help_group(cli.out, a.pos[0]);
        else
            cli_help(cli.out, a.command);
        return CLI_OK;
    }
    cli.url = a.url;
    if (a.output)
        cli.format = strcmp(a.output, "json") == 0   ? CLI_JSON
                     : strcmp(a.output, "name") == 0 ? CLI_NAME
                                                     : CLI_TABLE;
    int r = a.command->fn(&cli, &a);
    remote_free(cli.remote);
    if (fflush(cli.out) != 0 && r == CLI_OK)
        r = CLI_FAILED;
    return r;
}

/* help - texts made of the command table: help and the manual page. */
#include "cli/cli.h"

#include <string.h>

static const struct {
    int code;
    const char *text;
} exit_texts[] = {
    { CLI_OK, "Done." },
    { CLI_FAILED, "Failed for another reason." },
    { CLI_USAGE, "Wrong arguments." },
    { CLI_NOT_FOUND, "No such object." },
    { CLI_DENIED, "Not logged in, not allowed, or not trusted." },
    { CLI_CONFLICT, "It exists already, is in use, or is busy." },
    { CLI_NO_ROOM, "No room for it." },
    { CLI_UNREACHABLE, "The controller or daemon does not answer." },
    { CLI_JOB_FAILED, "The job that was waited for failed, or was cancelled." },
};

static const struct {
    const char *name, *text;
} variables[] = {
    { "SUPERCLOUD_URL", "The controller, instead of the one logged in to." },
    { "SUPERCLOUD_TOKEN", "API token to use with it." },
    { "SUPERCLOUD_CA", "File with the authority (PEM) to trust it by." },
    { "XDG_CONFIG_HOME",
      "Where supercloud/config.json is; default ~/.config." },
};

static bool takes_object(const struct cli_command *c)
{
    return c->args[0] != '\0';
}

static void usage_line(FILE *out, const struct cli_command *c)
{
    fprintf(out, "supercloud %s%s%s", c->name, takes_object(c) ? " " : "",
            c->args);
    for (int i = 0; c->options && c->options[i].name; i++)
        if (c->options[i].required)
            fprintf(out, " --%s %s", c->options[i].name, c->options[i].value);
    fputs(" [OPTION]...\n", out);
}

static void option_lines(FILE *out, const struct cli_option *o)
{
    for (; o && o->name; o++) {
        char head[64];
        snprintf(head, sizeof head, "--%s%s%s", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        fprintf(out, "  %-24s %s%s\n", head, o->help,
                o->required ? " (required)" : "");
    }
}

void cli_help_group(FILE *out, const char *group)
{
    size_t len = group ? strlen(group) : 0;
    for (size_t i = 0; i < cli_n_commands; i++) {
        const struct cli_command *c = &cli_commands[i];
        if (group && (strncmp(c->name, group, len) != 0 || c->name[len] != ' '))
            continue;
        char head[96];
        snprintf(head, sizeof head, "%s%s%s", c->name,
                 takes_object(c) ? " " : "", c->args);
        fprintf(out, "  %-34s %s\n", head, c->summary);
    }
}

void cli_help(FILE *out, const struct cli_command *c)
{
    if (c) {
        fputs("Usage: ", out);
        usage_line(out, c);
        fprintf(out, "%s.\n\nOptions:\n", c->summary);
        option_lines(out, c->options);
        option_lines(out, cli_common_options);
        return;
    }
    fputs("Usage: supercloud COMMAND [ARGUMENT]... [OPTION]...\n"
          "One private cloud out of many public ones.\n\nCommands:\n",
          out);
    cli_help_group(out, NULL);
    fputs("\nOptions of every command:\n", out);
    option_lines(out, cli_common_options);
    fputs("\nExit codes:\n", out);
    for (size_t i = 0; i < SC_ARRAY_LEN(exit_texts); i++)
        fprintf(out, "  %d  %s\n", exit_texts[i].code, exit_texts[i].text);
}

/* --- manual page -------------------------------------------------------------
 */

static void roff(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '-' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void roff_option(FILE *out, const struct cli_option *o)
{
    fputs(".TP\n.B \\-\\-", out);
    roff(out, o->name);
    if (o->value) {
        fputc(' ', out);
        roff(out, o->value);
    }
    fputc('\n', out);
    roff(out, o->help);
    fputs(o->required ? " (required).\n" : ".\n", out);
}

void cli_man(FILE *out)
{
    fputs(".\\\" Made by 'supercloud help --man'; do not edit.\n"
          ".TH SUPERCLOUD 1 \"\" Supercloud \"User Commands\"\n"
          ".SH NAME\nsupercloud \\- one private cloud out of many public "
          "ones\n.SH SYNOPSIS\n.B supercloud\n.I COMMAND\n[ARGUMENT]... "
          "[OPTION]...\n.SH DESCRIPTION\nTalks to a Supercloud controller's "
          "API, and to the daemons of this machine.\nObjects are named by id "
          "or by unique name.\nFirst\n.B supercloud login\nto a controller: "
          "its authority is checked by fingerprint, and an API token is kept\n"
          "in\n.IR ~/.config/supercloud/config.json .\nWhat takes long is a "
          "job: the command prints its id, or follows it with\n.BR "
          "\\-\\-wait .\n.SH COMMANDS\n",
          out);
    for (size_t i = 0; i < cli_n_commands; i++) {
        const struct cli_command *c = &cli_commands[i];
        fputs(".SS supercloud ", out);
        roff(out, c->name);
        fprintf(out, "%s%s\n", takes_object(c) ? " " : "", c->args);
        roff(out, c->summary);
        fputs(".\n", out);
        for (int k = 0; c->options && c->options[k].name; k++)
            roff_option(out, &c->options[k]);
    }
    fputs(".SH OPTIONS OF EVERY COMMAND\n", out);
    for (int k = 0; cli_common_options[k].name; k++)
        roff_option(out, &cli_common_options[k]);
    fputs(".SH EXIT STATUS\n", out);
    for (size_t i = 0; i < SC_ARRAY_LEN(exit_texts); i++)
        fprintf(out, ".TP\n.B %d\n%s\n", exit_texts[i].code,
                exit_texts[i].text);
    fputs(".SH ENVIRONMENT\n", out);
    for (size_t i = 0; i < SC_ARRAY_LEN(variables); i++)
        fprintf(out, ".TP\n.B %s\n%s\n", variables[i].name, variables[i].text);
    fputs(".SH FILES\n.TP\n.I ~/.config/supercloud/config.json\nController, "
          "authority and API token; mode 0600.\n",
          out);
}

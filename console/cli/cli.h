/* cli - the program 'supercloud': commands as a table, their arguments, exit
 * codes, and what they share.
 *
 * Help, argument checks, shell completion and the man page come from the table
 * (commands.c).  A command runs once and the process ends; it may block.
 * Exit codes are a promise to scripts: enum cli_exit. */
#ifndef SC_CLI_CLI_H
#define SC_CLI_CLI_H

#include "common/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* Anything else. */
    CLI_USAGE = 2,       /* Wrong arguments, here or by the server's word. */
    CLI_NOT_FOUND = 3,   /* No such object. */
    CLI_DENIED = 4,      /* Not logged in, or not allowed. */
    CLI_CONFLICT = 5,    /* Exists already, is in use, is busy. */
    CLI_NO_ROOM = 6,     /* No node, disk or network has room. */
    CLI_UNREACHABLE = 7, /* The controller or daemon does not answer. */
    CLI_JOB_FAILED = 8,  /* The job waited for failed, or was cancelled. */
};
enum cli_exit cli_exit_of(int code); /* -errno */

enum { CLI_MAX_POS = 4, CLI_MAX_OPTS = 16, CLI_MAX_MANY = 64 };

/* One option of a command: "--name VALUE", or a flag if 'value' is NULL.
 * 'value' also says what it is to shell completion: NODE, IMAGE, FILE ...  An
 * option whose value ends with "..." may be given again and again. */
struct cli_option {
    const char *name;  /* Without the dashes; NULL ends a list. */
    const char *value; /* "MIB", "NODE"; NULL: a flag. */
    const char *help;
    bool required;
};

struct cli;
struct cli_args;
typedef int cli_fn(struct cli *cli, const struct cli_args *a); /* cli_exit */

struct cli_command {
    const char *name; /* "vm create" */
    const char *args; /* "NAME [FILE]": as shown; words name kinds. */
    const char *summary;
    int min, max; /* Positional arguments. */
    cli_fn *fn;
    const struct cli_option *options; /* NULL: none. */
};
extern const struct cli_command cli_commands[];
extern const size_t cli_n_commands;
/* Options every command takes. */
extern const struct cli_option cli_common_options[];

struct cli_args {
    const struct cli_command *command;
    const char *pos[CLI_MAX_POS];
    int n_pos;
    const char *opts[CLI_MAX_OPTS]; /* By index in command->options. */
    struct {
        int option; /* Its index. */
        const char *value;
    } many[CLI_MAX_MANY]; /* In the order given. */
    int n_many;
    const char *url, *output; /* Common options. */
    bool help;
};
/* Finds the command and sorts its arguments (borrowed).  0, or -EINVAL with
 * 'err' filled; *ret->command is set as far as it was found. */
int cli_parse(int argc, char **argv, struct cli_args *ret, struct sc_err *err);
/* The value given for 'name', or NULL; "" for a flag that is given.  'name'
 * must be in the table. */
const char *cli_opt(const struct cli_args *a, const char *name);
/* The 'n'th value of a repeatable option; NULL: there are no more. */
const char *cli_opt_nth(const struct cli_args *a, const char *name, int n);
/* As a whole number; absent: 'def'.  -EINVAL names the option. */
int cli_opt_int(const struct cli_args *a, const char *name, int64_t min,
                int64_t max, int64_t def, int64_t *ret, struct sc_err *err);

enum cli_format { CLI_TABLE, CLI_JSON, CLI_NAME };
struct remote;
struct cli {
    struct remote *remote; /* Made on first use; owned. */
    enum cli_format format;
    const char *url; /* --url, or NULL. */
    FILE *out, *log; /* stdout, stderr. */
    bool is_tty;     /* Of 'log': progress may be drawn. */
};
/* All of main: parses, runs, reports; the exit code. */
int cli_main(int argc, char **argv);
/* Prints "supercloud: TEXT" and gives the exit code for 'err'. */
int cli_fail(struct cli *cli, const struct sc_err *err);

/* --- help.c: texts made of the table -------------------------------------- */
void cli_help(FILE *out, const struct cli_command *c); /* NULL: overview. */
void cli_help_group(FILE *out, const char *group);     /* "vm" */
void cli_man(FILE *out);                               /* roff */
int cli_completion(FILE *out, const char *shell);      /* -EINVAL */

/* --- commands; one file a group --------------------------------------------
 */
cli_fn cmd_login, cmd_logout, cmd_whoami, cmd_password;
cli_fn cmd_user_list, cmd_user_create, cmd_user_delete;
cli_fn cmd_token_create, cmd_token_list, cmd_token_delete;
cli_fn cmd_node_list, cmd_node_show, cmd_node_delete, cmd_node_user_data;
cli_fn cmd_image_list, cmd_image_show, cmd_image_create, cmd_image_delete;
cli_fn cmd_network_list, cmd_network_show, cmd_network_create,
    cmd_network_delete;
cli_fn cmd_vm_list, cmd_vm_show, cmd_vm_create, cmd_vm_start, cmd_vm_stop,
    cmd_vm_migrate, cmd_vm_delete, cmd_vm_console, cmd_vm_console_log;
cli_fn cmd_provider_drivers, cmd_provider_add, cmd_provider_list,
    cmd_provider_show, cmd_provider_update, cmd_provider_remove,
    cmd_provider_regions, cmd_provider_types, cmd_provider_prices,
    cmd_provider_publish, cmd_provider_images, cmd_provider_image_delete,
    cmd_provider_launch, cmd_provider_instances, cmd_provider_terminate,
    cmd_provider_fence, cmd_provider_console, cmd_provider_gc;
cli_fn cmd_job_list, cmd_job_show, cmd_job_watch, cmd_job_cancel;
cli_fn cmd_overview, cmd_daemon, cmd_version, cmd_completion, cmd_help;

#endif

/* complete - shell completion made of the command table.
 *
 * Objects' names are asked for with "supercloud KIND list -o name" when they
 * are needed.  zsh runs the bash script by its own bashcompinit. */
#include "cli/cli.h"

#include <string.h>

/* Which list names objects of a kind, or NULL. */
static const char *lister(const char *kind, size_t len)
{
    static const struct {
        const char *kind, *list;
    } lists[] = {
        { "VM", "vm" },       { "NODE", "node" },
        { "IMAGE", "image" }, { "NETWORK", "network" },
        { "JOB", "job" },     { "USER", "user" },
        { "TOKEN", "token" }, { "PROVIDER", "provider" },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(lists); i++)
        if (strlen(lists[i].kind) == len &&
            strncmp(lists[i].kind, kind, len) == 0)
            return lists[i].list;
    return NULL;
}

/* The 'n'th word of 'args' without brackets. */
static const char *arg_kind(const char *args, int n, size_t *len)
{
    for (;;) {
        args += strspn(args, " []");
        *len = strcspn(args, " []");
        if (!*len || n-- == 0)
            return args;
        args += *len;
    }
}

static void words_of_kind(FILE *out, const char *kind, size_t len)
{
    const char *list = lister(kind, len);
    if (list)
        fprintf(out, "$(supercloud %s list -o name 2>/dev/null)", list);
    else if (len == 5 && strncmp(kind, "SHELL", 5) == 0)
        fputs("bash zsh fish", out);
    else if (len == 6 && strncmp(kind, "DAEMON", 6) == 0)
        fputs("controller node storage network", out);
    else if (len == 6 && strncmp(kind, "ACTION", 6) == 0)
        fputs("status dump log-level", out);
    else if (len == 5 && strncmp(kind, "LEVEL", 5) == 0)
        fputs("error warn info debug", out);
    else if (len == 4 && strncmp(kind, "KIND", 4) == 0)
        fputs("disk kernel ramdisk", out);
    else if (len == 4 && strncmp(kind, "ROLE", 4) == 0)
        fputs("viewer operator admin", out);
    else if (len == 6 && strncmp(kind, "DRIVER", 6) == 0)
        fputs("$(supercloud provider drivers -o name 2>/dev/null)", out);
    else if (len == 10 && strncmp(kind, "HYPERVISOR", 10) == 0)
        fputs("xen qemu", out);
    else if (len == 4 && strncmp(kind, "FORM", 4) == 0)
        fputs("cloud-config terraform", out);
    else if (len == 6 && strncmp(kind, "FORMAT", 6) == 0)
        fputs("table json name", out);
}

static void first_words(FILE *out)
{
    const char *last = "";
    size_t last_len = 0;
    for (size_t i = 0; i < cli_n_commands; i++) {
        const char *name = cli_commands[i].name;
        size_t len = strcspn(name, " ");
        if (len == last_len && strncmp(name, last, len) == 0)
            continue;
        fprintf(out, "%s%.*s", last_len ? " " : "", (int)len, name);
        last = name;
        last_len = len;
    }
}

static void second_words(FILE *out, const char *group, size_t group_len)
{
    for (size_t i = 0; i < cli_n_commands; i++) {
        const char *name = cli_commands[i].name;
        if (strncmp(name, group, group_len) == 0 && name[group_len] == ' ')
            fprintf(out, "%s ", name + group_len + 1);
    }
}

/* bash: _supercloud sets COMPREPLY from the words so far. */
static void bash_script(FILE *out)
{
    fputs("# bash completion of supercloud; source it.\n_supercloud()\n{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} "
          "prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    local one=${COMP_WORDS[1]} two=${COMP_WORDS[2]} words=\n"
          "    COMPREPLY=()\n    if [ \"$COMP_CWORD\" = 1 ]; then\n"
          "        words=\"",
          out);
    first_words(out);
    fputs("\"\n    else\n        case \"$one $two|$prev\" in\n", out);
    for (size_t i = 0; i < cli_n_commands; i++) {
        const struct cli_command *c = &cli_commands[i];
        bool pair = strchr(c->name, ' ') != NULL;
        for (int k = 0; c->options && c->options[k].name; k++) {
            const struct cli_option *o = &c->options[k];
            if (!o->value)
                continue;
            fprintf(out, "        \"%s%s|--%s\") ", c->name,
                    pair ? "" : " \"*\"", o->name);
            if (strcmp(o->value, "FILE") == 0) {
                fputs("COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n",
                      out);
                continue;
            }
            fputs("words=\"", out);
            words_of_kind(out, o->value, strlen(o->value));
            fputs("\" ;;\n", out);
        }
    }
    fputs("        *\"|-o\"|*\"|--output\") words=\"table json name\" ;;\n"
          "        *) case \"$one $two|$COMP_CWORD\" in\n",
          out);
    for (size_t i = 0; i < cli_n_commands; i++) {
        const struct cli_command *c = &cli_commands[i];
        const char *space = strchr(c->name, ' ');
        int first = space ? 3 : 2;
        for (int n = 0; n < c->max; n++) {
            size_t len;
            const char *kind = arg_kind(c->args, n, &len);
            fprintf(out, "        \"%s%s|%d\") ", c->name,
                    space ? "" : " \"*\"", first + n);
            if (len == 4 && strncmp(kind, "FILE", 4) == 0) {
                fputs("COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n",
                      out);
                continue;
            }
            fputs("words=\"", out);
            words_of_kind(out, kind, len);
            fputs("\" ;;\n", out);
        }
        size_t group_len = space ? (size_t)(space - c->name) : 0;
        if (space && (i == 0 || strncmp(cli_commands[i - 1].name, c->name,
                                        group_len + 1) != 0)) {
            fprintf(out, "        \"%.*s \"*\"|2\") words=\"", (int)group_len,
                    c->name);
            second_words(out, c->name, group_len);
            fputs("\" ;;\n", out);
        }
    }
    fputs("        esac\n        case $cur in -*) case \"$one $two\" in\n",
          out);
    for (size_t i = 0; i < cli_n_commands; i++) {
        const struct cli_command *c = &cli_commands[i];
        fprintf(out, "        \"%s%s\") words=\"", c->name,
                strchr(c->name, ' ') ? "" : " \"*\"");
        for (int k = 0; c->options && c->options[k].name; k++)
            fprintf(out, "--%s ", c->options[k].name);
        fputs("--output --url --help\" ;;\n", out);
    }
    fputs("        esac ;; esac ;;\n        esac\n    fi\n"
          "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
          "complete -o default -F _supercloud supercloud\n",
          out);
}

/* A text between single quotes, for fish. */
static void quoted(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputs("'\n", out);
}

static void fish_script(FILE *out)
{
    fputs("# fish completion of supercloud\ncomplete -c supercloud -f\n", out);
    for (size_t i = 0; i < cli_n_commands; i++) {
        const struct cli_command *c = &cli_commands[i];
        const char *space = strchr(c->name, ' ');
        int len = space ? (int)(space - c->name) : (int)strlen(c->name);
        if (!space) {
            fprintf(out,
                    "complete -c supercloud -n __fish_use_subcommand -a "
                    "%s -d ",
                    c->name);
            quoted(out, c->summary);
        } else {
            fprintf(out,
                    "complete -c supercloud -n __fish_use_subcommand -a "
                    "%.*s\n",
                    len, c->name);
            fprintf(out,
                    "complete -c supercloud -n "
                    "'__fish_seen_subcommand_from %.*s' -a %s -d ",
                    len, c->name, space + 1);
            quoted(out, c->summary);
        }
        for (int k = 0; c->options && c->options[k].name; k++) {
            const struct cli_option *o = &c->options[k];
            fprintf(out,
                    "complete -c supercloud -n "
                    "'__fish_seen_subcommand_from %.*s' -l %s %s-d ",
                    len, c->name, o->name, o->value ? "-r " : "");
            quoted(out, o->help);
        }
        size_t kind_len;
        const char *kind = arg_kind(c->args, 0, &kind_len);
        const char *list = c->max ? lister(kind, kind_len) : NULL;
        if (list && space)
            fprintf(out,
                    "complete -c supercloud -n "
                    "'__fish_seen_subcommand_from %.*s; and "
                    "__fish_seen_subcommand_from %s' -a '(supercloud %s "
                    "list -o name 2>/dev/null)'\n",
                    len, c->name, space + 1, list);
    }
}

int cli_completion(FILE *out, const char *shell)
{
    if (strcmp(shell, "fish") == 0) {
        fish_script(out);
        return 0;
    }
    if (strcmp(shell, "zsh") == 0)
        fputs("#compdef supercloud\nautoload -U +X bashcompinit && "
              "bashcompinit\n",
              out);
    else if (strcmp(shell, "bash") != 0)
        return -EINVAL;
    bash_script(out);
    return 0;
}

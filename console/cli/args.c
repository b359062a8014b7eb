/* args - from argv to struct cli_args; pure.  Options may stand anywhere after
 * the command, as "--name VALUE" or "--name=VALUE"; "--" ends them. */
#include "cli/cli.h"

#include <string.h>

/* How many words of argv name the command at 'c' (0: they do not). */
static int name_words(const struct cli_command *c, int argc, char **argv)
{
    const char *p = c->name;
    int n = 0;
    while (*p) {
        size_t len = strcspn(p, " ");
        if (n >= argc || strlen(argv[n]) != len ||
            strncmp(argv[n], p, len) != 0)
            return 0;
        n++;
        p += len;
        p += *p == ' ';
    }
    return n;
}

static bool is_group(const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i < cli_n_commands; i++)
        if (strncmp(cli_commands[i].name, word, len) == 0 &&
            cli_commands[i].name[len] == ' ')
            return true;
    return false;
}

static const struct cli_option *option_named(const struct cli_option *list,
                                             const char *name, size_t len,
                                             int *ret_index)
{
    for (int i = 0; list && list[i].name; i++) {
        if (strlen(list[i].name) == len &&
            strncmp(list[i].name, name, len) == 0) {
            *ret_index = i;
            return &list[i];
        }
    }
    return NULL;
}

/* Where the value of an option goes. */
static const char **slot_of(struct cli_args *a, const char *name, size_t len,
                            const struct cli_option **ret)
{
    int i = 0;
    if (a->command && (*ret = option_named(a->command->options, name, len, &i)))
        return &a->opts[i];
    *ret = option_named(cli_common_options, name, len, &i);
    if (!*ret)
        return NULL;
    return strcmp((*ret)->name, "url") == 0 ? &a->url : &a->output;
}

static bool is_many(const struct cli_option *o)
{
    size_t len = o->value ? strlen(o->value) : 0;
    return len > 3 && strcmp(o->value + len - 3, "...") == 0;
}

static int keep_many(struct cli_args *a, const struct cli_option *o,
                     const char *value, struct sc_err *err)
{
    if (a->n_many == CLI_MAX_MANY)
        return sc_fail(err, -EINVAL, "'--%s': too many", o->name);
    a->many[a->n_many].option = (int)(o - a->command->options);
    a->many[a->n_many++].value = value;
    return 0;
}

static int parse_option(struct cli_args *a, int argc, char **argv, int *at,
                        struct sc_err *err)
{
    const char *word = argv[*at];
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
        a->help = true;
        return 0;
    }
    if (strncmp(word, "-o", 2) == 0 && word[2] != '\0') {
        a->output = word + 2;
        return 0;
    }
    const char *name = strcmp(word, "-o") == 0 ? "output" : word + 2;
    if (word[1] != '-' && strcmp(word, "-o") != 0)
        return sc_fail(err, -EINVAL, "unknown option '%s'", word);
    size_t len = strcspn(name, "=");
    const struct cli_option *o = NULL;
    const char **slot = slot_of(a, name, len, &o);
    if (!slot)
        return sc_fail(err, -EINVAL, "unknown option '--%.*s'", (int)len, name);
    if (!o->value) {
        if (name[len])
            return sc_fail(err, -EINVAL, "'--%s' takes no value", o->name);
        *slot = "";
        return 0;
    }
    if (name[len]) {
        *slot = name + len + 1;
    } else if (*at + 1 < argc) {
        *slot = argv[++*at];
    } else {
        return sc_fail(err, -EINVAL, "'--%s' needs a value (%s)", o->name,
                       o->value);
    }
    return is_many(o) ? keep_many(a, o, *slot, err) : 0;
}

static int check(const struct cli_args *a, struct sc_err *err)
{
    const struct cli_command *c = a->command;
    if (a->n_pos < c->min)
        return sc_fail(err, -EINVAL, "%s: needs %s", c->name, c->args);
    if (a->n_pos > c->max)
        return sc_fail(err, -EINVAL, "%s: one argument too many: '%s'", c->name,
                       a->pos[c->max]);
    for (int i = 0; c->options && c->options[i].name; i++)
        if (c->options[i].required && !a->opts[i])
            return sc_fail(err, -EINVAL, "%s: needs --%s %s", c->name,
                           c->options[i].name, c->options[i].value);
    if (a->output && strcmp(a->output, "json") != 0 &&
        strcmp(a->output, "table") != 0 && strcmp(a->output, "name") != 0)
        return sc_fail(err, -EINVAL,
                       "--output: '%s' is not table, json or name", a->output);
    return 0;
}

int cli_parse(int argc, char **argv, struct cli_args *ret, struct sc_err *err)
{
    *ret = (struct cli_args){ 0 };
    int at = 1;
    /* Common options may stand before the command too. */
    while (at < argc && argv[at][0] == '-' && argv[at][1] != '\0') {
        int r = parse_option(ret, argc, argv, &at, err);
        if (r < 0)
            return r;
        at++;
    }
    if (at == argc)
        return ret->help ? 0 : sc_fail(err, -EINVAL, "no command given");
    for (size_t i = 0; i < cli_n_commands && !ret->command; i++) {
        int n = name_words(&cli_commands[i], argc - at, argv + at);
        if (n) {
            ret->command = &cli_commands[i];
            at += n;
        }
    }
    if (!ret->command) {
        ret->pos[0] = is_group(argv[at]) ? argv[at] : NULL;
        if (ret->pos[0] && (at + 1 == argc || argv[at + 1][0] == '-')) {
            ret->help = ret->help || (at + 1 < argc);
            return ret->help ? 0
                             : sc_fail(err, -EINVAL, "'%s' needs a subcommand",
                                       argv[at]);
        }
        return sc_fail(err, -EINVAL, "unknown command '%s%s%s'", argv[at],
                       ret->pos[0] ? " " : "", ret->pos[0] ? argv[at + 1] : "");
    }
    for (bool plain = false; at < argc; at++) {
        if (!plain && strcmp(argv[at], "--") == 0) {
            plain = true;
        } else if (!plain && argv[at][0] == '-' && argv[at][1]) {
            int r = parse_option(ret, argc, argv, &at, err);
            if (r < 0)
                return r;
        } else if (ret->n_pos < CLI_MAX_POS) {
            ret->pos[ret->n_pos++] = argv[at];
        } else {
            return sc_fail(err, -EINVAL, "%s: too many arguments",
                           ret->command->name);
        }
    }
    return ret->help ? 0 : check(ret, err);
}

const char *cli_opt(const struct cli_args *a, const char *name)
{
    int i = 0;
    return option_named(a->command->options, name, strlen(name), &i)
               ? a->opts[i]
               : NULL;
}

const char *cli_opt_nth(const struct cli_args *a, const char *name, int n)
{
    int option = 0;
    if (!option_named(a->command->options, name, strlen(name), &option))
        return NULL;
    for (int i = 0; i < a->n_many; i++) {
        if (a->many[i].option == option && n-- == 0)
            return a->many[i].value;
    }
    return NULL;
}

int cli_opt_int(const struct cli_args *a, const char *name, int64_t min,
                int64_t max, int64_t def, int64_t *ret, struct sc_err *err)
{
    const char *text = cli_opt(a, name);
    if (!text) {
        *ret = def;
        return 0;
    }
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || *end || n < min || n > max)
        return sc_fail(err, -EINVAL,
                       "--%s: '%s' is not a whole number from %lld to %lld",
                       name, text, (long long)min, (long long)max);
    *ret = n;
    return 0;
}

/* sc-provider - instances at a first-layer cloud, from the command line.
 *
 * sc-provider DRIVER CONFIG.json types | list | fence ID | terminate ID
 * sc-provider DRIVER CONFIG.json launch --name N --region R --image I
 *             [--type T] [--user-data FILE] [--options JSON]
 * Prints JSON.  Exit status: 0, 1 failed, 2 usage. */
#include "provider/provider.h"

#include "common/json.h"
#include "provider/run.h"

#include <getopt.h>

static cJSON *instance_json(const struct provider_instance *i)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "id", i->id);
    cJSON_AddStringToObject(o, "name", i->name);
    cJSON_AddStringToObject(o, "region", i->region);
    cJSON_AddStringToObject(o, "type", i->type);
    cJSON_AddStringToObject(o, "address", i->address);
    cJSON_AddStringToObject(o, "console", i->console);
    cJSON_AddStringToObject(o, "state", provider_state_name(i->state));
    json_set_u64(o, "created_at", i->created_at);
    return o;
}

static void print_json(cJSON *taken)
{
    SC_AUTO(cjson_free) cJSON *o = taken;
    SC_AUTO(free) char *text = cJSON_Print(o);
    puts(text ? text : "");
}

static int launch(struct provider *p, int argc, char **argv, struct sc_err *err)
{
    static const struct option options[] = {
        { "name", required_argument, NULL, 'n' },
        { "region", required_argument, NULL, 'r' },
        { "image", required_argument, NULL, 'i' },
        { "type", required_argument, NULL, 't' },
        { "user-data", required_argument, NULL, 'u' },
        { "options", required_argument, NULL, 'o' },
        { NULL, 0, NULL, 0 },
    };
    struct provider_launch l = { 0 };
    SC_AUTO(free) char *user_data = NULL;
    SC_AUTO(cjson_free) cJSON *own = NULL;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 'n':
            l.name = optarg;
            break;
        case 'r':
            l.region = optarg;
            break;
        case 'i':
            l.image = optarg;
            break;
        case 't':
            l.type = optarg;
            break;
        case 'u':
            if (run_read_file(optarg, &user_data) < 0)
                return sc_fail(err, -ENOENT, "user-data: cannot read '%s'",
                               optarg);
            break;
        case 'o':
            cJSON_Delete(own);
            if (!(own = cJSON_Parse(optarg)))
                return sc_fail(err, -EINVAL, "options: '%s' is not JSON",
                               optarg);
            break;
        default:
            return sc_fail(err, -EINVAL, "launch: see the options above");
        }
    }
    l.user_data = user_data;
    l.options = own;
    struct provider_instance i = { 0 };
    int r = provider_launch(p, &l, &i, err);
    if (r == 0)
        print_json(instance_json(&i));
    provider_instance_clear(&i);
    return r;
}

static int add_to_list(void *arg, const struct provider_instance *i)
{
    return cJSON_AddItemToArray(arg, instance_json(i)) ? 0 : -ENOMEM;
}

static int types(struct provider *p, struct sc_err *err)
{
    const struct provider_type *t = NULL;
    int r = provider_types(p, &t, err);
    if (r < 0)
        return r;
    cJSON *list = cJSON_CreateArray();
    for (; t->name; t++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "name", t->name);
        cJSON_AddNumberToObject(o, "vcpus", t->vcpus);
        cJSON_AddNumberToObject(o, "memory_mib", t->memory_mib);
        cJSON_AddBoolToObject(o, "nested_virtualisation",
                              t->nested_virtualisation);
        cJSON_AddItemToArray(list, o);
    }
    print_json(list);
    return 0;
}

/* -EINVAL with an empty text: wrong usage. */
static int act(struct provider *p, const char *verb, int argc, char **argv,
               struct sc_err *err)
{
    if (!strcmp(verb, "types") && argc == 1)
        return types(p, err);
    if (!strcmp(verb, "list") && argc == 1) {
        cJSON *list = cJSON_CreateArray();
        int r = provider_list(p, add_to_list, list, err);
        print_json(list);
        return r;
    }
    if (!strcmp(verb, "launch"))
        return launch(p, argc, argv, err);
    if (!strcmp(verb, "fence") && argc == 2)
        return provider_fence(p, argv[1], err);
    if (!strcmp(verb, "terminate") && argc == 2)
        return provider_terminate(p, argv[1], err);
    return -EINVAL;
}

int main(int argc, char **argv)
{
    struct sc_err err = { 0 };
    if (argc >= 4) {
        SC_AUTO(free) char *text = NULL;
        SC_AUTO(cjson_free) cJSON *config = NULL;
        SC_AUTO(provider_close) struct provider *p = NULL;
        if (run_read_file(argv[2], &text) < 0 || !(config = cJSON_Parse(text)))
            sc_fail(&err, -EINVAL, "%s: cannot be read as JSON", argv[2]);
        else if (provider_open(argv[1], config, &p, &err) == 0 &&
                 act(p, argv[3], argc - 3, argv + 3, &err) == 0)
            return 0;
    }
    if (*err.text) {
        fprintf(stderr, "sc-provider: %s\n", err.text);
        return 1;
    }
    fprintf(stderr,
            "usage: sc-provider DRIVER CONFIG.json types | list | fence ID |\n"
            "           terminate ID | launch --name N --region R --image I\n"
            "           [--type T] [--user-data FILE] [--options JSON]\n");
    return 2;
}

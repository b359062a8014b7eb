/* p_ec2_instances - instances as they are, their consoles and their end;
 * types. */
#include "provider/p_ec2.h"

#include "common/json.h"

enum { LOOKS_MAX = 200 };

static enum provider_state state_of(const char *name)
{
    return !strcmp(name, "running") ? PROVIDER_RUNNING
           : !strcmp(name, "stopped") || !strcmp(name, "stopping")
               ? PROVIDER_STOPPED
           : !strcmp(name, "terminated") || !strcmp(name, "shutting-down")
               ? PROVIDER_TERMINATED
               : PROVIDER_PENDING;
}

int ec2_read_instance(const struct p_ec2 *p, const char *region,
                      const struct xml_node *item,
                      struct provider_instance *ret)
{
    char console[96];
    snprintf(console, sizeof console,
             "/?Action=GetConsoleOutput&InstanceId=%.40s",
             xml_text(item, "instanceId"));
    const char *public = xml_text(item, "ipAddress");
    const char *private = xml_text(item, "privateIpAddress");
    struct provider_instance i = {
        .id = strdup(xml_text(item, "instanceId")),
        .name = strdup(ec2_tag(item, "Name")),
        .region = strdup(region),
        .zone = strdup(xml_text(item, "placement/availabilityZone")),
        .type = strdup(xml_text(item, "instanceType")),
        .image = strdup(xml_text(item, "imageId")),
        .address = strdup(*public ? public : private),
        .private_address = strdup(private),
        .console = ec2_url(p, EC2_EC2, region, console),
        .cluster = strdup(ec2_tag(item, EC2_TAG_CLUSTER)),
        .token = strdup(ec2_tag(item, EC2_TAG_TOKEN)),
        .spot = !strcmp(xml_text(item, "instanceLifecycle"), "spot"),
        .state = state_of(xml_text(item, "instanceState/name")),
        .created_at = ec2_time(xml_text(item, "launchTime")),
    };
    if (i.id && i.name && i.region && i.zone && i.type && i.image &&
        i.address && i.private_address && i.console && i.cluster && i.token) {
        *ret = i;
        return 0;
    }
    provider_instance_clear(&i);
    return -ENOMEM;
}

/* --- list ------------------------------------------------------------------*/

struct each {
    const struct p_ec2 *p;
    const char *region;
    provider_each_fn *fn;
    void *arg;
};

static int give_reservation(void *arg, const struct xml_node *reservation)
{
    const struct each *e = arg;
    const struct xml_node *i = xml_first(reservation, "instancesSet");
    for (; i; i = i->next) {
        struct provider_instance one;
        int r = ec2_read_instance(e->p, e->region, i, &one);
        if (r < 0)
            return r;
        r = e->fn(e->arg, &one);
        provider_instance_clear(&one);
        if (r != 0)
            return r;
    }
    return 0;
}

int ec2_list(struct provider *up, const char *region, provider_each_fn *fn,
             void *arg, struct sc_err *err)
{
    struct p_ec2 *p = (struct p_ec2 *)up;
    for (size_t i = 0; i < (region ? 1 : p->n_regions); i++) {
        struct each e = { p, region ? region : p->regions[i], fn, arg };
        SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
        ec2_addu(&f, 500, "MaxResults");
        int r = ec2_each(p, e.region, "DescribeInstances", &f, "reservationSet",
                         give_reservation, &e, err);
        if (r != 0)
            return r;
    }
    return 0;
}

/* --- one -------------------------------------------------------------------*/

struct wanted {
    const struct p_ec2 *p;
    const char *region;
    struct provider_instance *ret;
    bool found;
    char state[24];
};

static int take_wanted(void *arg, const struct xml_node *reservation)
{
    struct wanted *w = arg;
    const struct xml_node *i = xml_get(reservation, "instancesSet/item");
    if (!i)
        return 0;
    provider_instance_clear(w->ret);
    int r = ec2_read_instance(w->p, w->region, i, w->ret);
    w->found = r == 0;
    snprintf(w->state, sizeof w->state, "%s",
             xml_text(i, "instanceState/name"));
    return r;
}

static int find(struct p_ec2 *p, const char *region, const char *id,
                struct wanted *ret, struct sc_err *err)
{
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    ret->p = p;
    ret->region = region;
    ec2_add(&f, id, "InstanceId.1");
    int r = ec2_each(p, region, "DescribeInstances", &f, "reservationSet",
                     take_wanted, ret, err);
    if (r == 0 && !ret->found)
        r = sc_fail(err, -ENOENT, "instance %s: not in %s", id, region);
    if (r < 0)
        provider_instance_clear(ret->ret);
    return r;
}

int ec2_find_instance(struct p_ec2 *p, const char *region, const char *id,
                      struct provider_instance *ret, struct sc_err *err)
{
    struct provider_instance i = { 0 };
    struct wanted w = { .ret = &i };
    int r = find(p, region, id, &w, err);
    if (r == 0)
        *ret = i;
    return r;
}

/* Until the provider says 'id' has one of the two states; gone counts too. */
static int wait_for(struct p_ec2 *p, const char *region, const char *id,
                    const char *state, const char *or_state, struct sc_err *err)
{
    for (unsigned n = 0; n < LOOKS_MAX; n++) {
        struct provider_instance i = { 0 };
        struct wanted w = { .ret = &i };
        int r = find(p, region, id, &w, err);
        provider_instance_clear(&i);
        if (r == -ENOENT || !strcmp(w.state, state) ||
            !strcmp(w.state, or_state))
            return 0;
        if (r < 0)
            return r;
        provider_progress(&p->up, w.state, 0, 0);
        if ((r = ec2_pause(p, n, err)) < 0)
            return r;
    }
    return sc_fail(err, -ETIMEDOUT, "instance %s in %s is still not %s", id,
                   region, state);
}

static int end_instance(struct p_ec2 *p, const char *region, const char *id,
                        struct sc_err *err)
{
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    ec2_add(&f, id, "InstanceId.1");
    return ec2_call(p, EC2_EC2, region, "TerminateInstances", &f, NULL, err);
}

int ec2_terminate(struct provider *up, const char *region, const char *id,
                  struct sc_err *err)
{
    struct p_ec2 *p = (struct p_ec2 *)up;
    struct provider_instance i = { 0 };
    region = ec2_region(p, region);
    int r = ec2_find_instance(p, region, id, &i, err);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = end_instance(p, region, id, err);
    if (r == -ENOENT)
        r = 0;
    if (r == 0)
        r = wait_for(p, region, id, "terminated", "terminated", err);
    struct provider_tags tags = { i.cluster, i.token };
    if (r == 0 && *i.token && *i.cluster)
        r = ec2_remove_groups(p, region, &tags, err);
    provider_instance_clear(&i);
    return r;
}

int ec2_fence(struct provider *up, const char *region, const char *id,
              struct sc_err *err)
{
    struct p_ec2 *p = (struct p_ec2 *)up;
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    region = ec2_region(p, region);
    ec2_add(&f, id, "InstanceId.1");
    ec2_add(&f, "true", "Force");
    struct provider_instance i = { 0 };
    int r = ec2_find_instance(p, region, id, &i, err); /* Here, at all? */
    provider_instance_clear(&i);
    if (r < 0)
        return r;
    r = ec2_call(p, EC2_EC2, region, "StopInstances", &f, NULL, err);
    /* Spot and instance-store ones cannot be stopped; one that is ending
     * already has the wrong state for it. */
    if (ec2_refused(p, "UnsupportedOperation") ||
        ec2_refused(p, "IncorrectSpotRequestState"))
        r = end_instance(p, region, id, err);
    else if (ec2_refused(p, "IncorrectInstanceState"))
        r = 0;
    return r < 0 ? r : wait_for(p, region, id, "stopped", "terminated", err);
}

/* --- console ---------------------------------------------------------------*/

/* Its end as it is now, which hosts of the Nitro kind can tell; others have but
 * what was said by the last start, reboot or stop, some minutes late. */
static int get_console(struct p_ec2 *p, const char *region, const char *id,
                       bool latest, struct xml **ret, struct sc_err *err)
{
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    ec2_add(&f, id, "InstanceId");
    ec2_add(&f, latest ? "true" : NULL, "Latest");
    return ec2_call(p, EC2_EC2, region, "GetConsoleOutput", &f, ret, err);
}

/* Base64 in lines, as EC2 writes it. */
static int decode_lines(const char *text, void **ret, size_t *ret_size)
{
    SC_AUTO(free) char *plain = malloc(strlen(text) + 1);
    size_t n = 0;
    if (!plain)
        return -ENOMEM;
    for (; *text; text++)
        if (!strchr(" \t\r\n", *text))
            plain[n++] = *text;
    plain[n] = '\0';
    return json_b64_decode(plain, ret, ret_size);
}

int ec2_console(struct provider *up, const char *region, const char *id,
                char **ret, size_t *ret_size, struct sc_err *err)
{
    struct p_ec2 *p = (struct p_ec2 *)up;
    SC_AUTO(xml_free) struct xml *x = NULL;
    struct sc_err e = { 0 };
    void *log;
    region = ec2_region(p, region);
    int r = get_console(p, region, id, true, &x, &e);
    if (r < 0 && (ec2_refused(p, "UnsupportedOperation") ||
                  ec2_refused(p, "InvalidParameterCombination")))
        r = get_console(p, region, id, false, &x, &e);
    if (r < 0) {
        if (err)
            *err = e;
        return r;
    }
    r = decode_lines(xml_text(xml_root(x), "output"), &log, ret_size);
    if (r < 0)
        return r == -ENOMEM
                   ? sc_fail(err, r, "out of memory")
                   : sc_fail(err, -EPROTO,
                             "GetConsoleOutput in %s: the output is not base64",
                             region);
    *ret = log;
    return 0;
}

/* --- types -----------------------------------------------------------------*/

struct each_type {
    provider_each_type_fn *fn;
    void *arg;
};

static bool has_item(const struct xml_node *n, const char *path,
                     const char *text)
{
    for (const struct xml_node *i = xml_first(n, path); i; i = i->next)
        if (!strcmp(i->text, text))
            return true;
    return false;
}

static int give_type(void *arg, const struct xml_node *item)
{
    const struct each_type *e = arg;
    bool metal = !strcmp(xml_text(item, "bareMetal"), "true");
    bool nested = has_item(item, "processorInfo/supportedFeatures",
                           "nested-virtualization");
    struct provider_type t = {
        .name = (char *)xml_text(item, "instanceType"),
        .vcpus = (unsigned)strtoul(xml_text(item, "vCpuInfo/defaultVCpus"),
                                   NULL, 10),
        .memory_mib =
            (unsigned)strtoul(xml_text(item, "memoryInfo/sizeInMiB"), NULL, 10),
        .nested_virtualisation = metal || nested,
        /* On types of the older Xen our dom0 finds no disk it can drive. */
        .xen =
            has_item(item, "processorInfo/supportedArchitectures", "x86_64") &&
            strcmp(xml_text(item, "hypervisor"), "xen") != 0,
    };
    return *t.name ? e->fn(e->arg, &t) : 0;
}

int ec2_types(struct provider *up, const char *region,
              provider_each_type_fn *fn, void *arg, struct sc_err *err)
{
    struct p_ec2 *p = (struct p_ec2 *)up;
    struct each_type e = { fn, arg };
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    ec2_addu(&f, 100, "MaxResults");
    ec2_add_filter(&f, 1, "processor-info.supported-architecture", "x86_64");
    ec2_add_filter(&f, 2, "supported-virtualization-type", "hvm");
    return ec2_each(p, ec2_region(p, region), "DescribeInstanceTypes", &f,
                    "instanceTypeSet", give_type, &e, err);
}

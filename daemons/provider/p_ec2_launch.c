/* p_ec2_launch - one instance, with a security group of its own if it has
 * rules.
 *
 * The token is the client token of RunInstances: a second call answers with the
 * same instance.  The group is found again by its name, which has the token in
 * it.  Nothing has to be saved for that; 'resume' is not used.
 * Launch options: {"subnet_id", "vpc_id", "security_group_ids": [..],
 * "key_name", "public_address": bool, "nested_virtualisation": bool}. */
#include "provider/p_ec2.h"

#include "common/json.h"

#include <time.h>

#define DEFAULT_TYPE "m5.large"

enum { LOOKS_MAX = 60, STARTS_MAX = 3, GROUPS_MAX = 5 };

struct options {
    const char *subnet, *vpc, *key;
    const char *groups[GROUPS_MAX];
    unsigned n_groups;
    bool public_address, nested;
};

static int read_options(const cJSON *from, struct options *ret,
                        struct sc_err *err)
{
    static const char *const known[] = {
        "subnet_id", "vpc_id",         "security_group_ids",
        "key_name",  "public_address", "nested_virtualisation",
        NULL
    };
    *ret = (struct options){ 0 };
    if (!from)
        return 0;
    struct json_reader r = json_read(from, "options");
    ret->subnet = json_str_or(&r, "subnet_id", 60, NULL);
    ret->vpc = json_str_or(&r, "vpc_id", 60, NULL);
    ret->key = json_str_or(&r, "key_name", 255, NULL);
    ret->public_address = json_bool_or(&r, "public_address", false);
    ret->nested = json_bool_or(&r, "nested_virtualisation", false);
    json_only(&r, known);
    const cJSON *list =
        cJSON_GetObjectItemCaseSensitive(from, "security_group_ids");
    for (const cJSON *g = cJSON_IsArray(list) ? list->child : NULL; g;
         g = g->next) {
        if (!cJSON_IsString(g) || ret->n_groups == GROUPS_MAX)
            return sc_fail(err, -EINVAL,
                           "options: security_group_ids: up to %d ids",
                           GROUPS_MAX);
        ret->groups[ret->n_groups++] = g->valuestring;
    }
    return json_done(&r, err);
}

/* --- the security group ----------------------------------------------------*/

static int take_vpc(void *arg, const struct xml_node *item)
{
    snprintf(arg, 64, "%s", xml_text(item, "vpcId"));
    return 0;
}

/* The network of the subnet, or "" for the account's default. */
static int find_vpc(struct p_ec2 *p, const char *region,
                    const struct options *o, char ret[64], struct sc_err *err)
{
    snprintf(ret, 64, "%s", o->vpc ? o->vpc : "");
    if (o->vpc || !o->subnet)
        return 0;
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    ec2_add(&f, o->subnet, "SubnetId.1");
    return ec2_each(p, region, "DescribeSubnets", &f, "subnetSet", take_vpc,
                    ret, err);
}

struct group {
    const struct provider_tags *tags;
    char id[64];
};

static int take_group(void *arg, const struct xml_node *item)
{
    struct group *g = arg;
    if (!strcmp(ec2_tag(item, EC2_TAG_TOKEN), g->tags->token) &&
        !strcmp(ec2_tag(item, EC2_TAG_CLUSTER), g->tags->cluster))
        snprintf(g->id, sizeof g->id, "%s", xml_text(item, "groupId"));
    return 0;
}

static int make_group(struct p_ec2 *p, const struct provider_launch *l,
                      const char *region, const char *vpc, struct group *ret,
                      struct sc_err *err)
{
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    SC_AUTO(ec2_form_free) struct ec2_form look = { 0 };
    SC_AUTO(xml_free) struct xml *x = NULL;
    char name[160], about[120];
    snprintf(name, sizeof name, "supercloud-%s-%s", l->name, l->tags.token);
    snprintf(about, sizeof about, "Supercloud instance %s", l->name);
    ec2_add(&f, name, "GroupName");
    ec2_add(&f, about, "GroupDescription");
    ec2_add(&f, *vpc ? vpc : NULL, "VpcId");
    ec2_add_tags(&f, 1, "security-group", l->name, &l->tags, NULL);
    int r = ec2_call(p, EC2_EC2, region, "CreateSecurityGroup", &f, &x, err);
    if (r == 0) {
        snprintf(ret->id, sizeof ret->id, "%s",
                 xml_text(xml_root(x), "groupId"));
    } else if (ec2_refused(p, "InvalidGroup.Duplicate")) {
        struct sc_err other = { 0 };
        ec2_add_filter(&look, 1, "group-name", name);
        if (ec2_each(p, region, "DescribeSecurityGroups", &look,
                     "securityGroupInfo", take_group, ret, &other) < 0 ||
            !*ret->id)
            return r;
        r = 0;
    }
    return r == 0 && !*ret->id ? sc_fail(err, -EPROTO,
                                         "CreateSecurityGroup: an answer "
                                         "without a group")
                               : r;
}

static int add_rules(struct p_ec2 *p, const struct provider_launch *l,
                     const char *region, const char *group, struct sc_err *err)
{
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    char number[16];
    ec2_add(&f, group, "GroupId");
    for (size_t i = 0; i < l->n_rules; i++) {
        const struct provider_rule *u = &l->rules[i];
        bool v6 = strchr(u->cidr, ':'), icmp = !strcmp(u->protocol, "icmp");
        int n = (int)i + 1;
        ec2_add(&f, icmp && v6 ? "icmpv6" : u->protocol,
                "IpPermissions.%d.IpProtocol", n);
        snprintf(number, sizeof number, "%d", icmp ? -1 : (int)u->port_from);
        ec2_add(&f, number, "IpPermissions.%d.FromPort", n);
        snprintf(number, sizeof number, "%d", icmp ? -1 : (int)u->port_to);
        ec2_add(&f, number, "IpPermissions.%d.ToPort", n);
        if (v6)
            ec2_add(&f, u->cidr, "IpPermissions.%d.Ipv6Ranges.1.CidrIpv6", n);
        else
            ec2_add(&f, u->cidr, "IpPermissions.%d.IpRanges.1.CidrIp", n);
    }
    int r = ec2_call(p, EC2_EC2, region, "AuthorizeSecurityGroupIngress", &f,
                     NULL, err);
    /* All at once or none: they are there from an earlier try. */
    return r < 0 && ec2_refused(p, "InvalidPermission.Duplicate") ? 0 : r;
}

/* --- the instance ----------------------------------------------------------*/

static int take_root(void *arg, const struct xml_node *item)
{
    snprintf(arg, 64, "%s", xml_text(item, "rootDeviceName"));
    return 0;
}

static int add_disk(struct p_ec2 *p, const struct provider_launch *l,
                    const char *region, struct ec2_form *f, struct sc_err *err)
{
    SC_AUTO(ec2_form_free) struct ec2_form g = { 0 };
    char root[64] = "";
    if (!l->disk_gib)
        return 0;
    ec2_add(&g, l->image, "ImageId.1");
    int r = ec2_each(p, region, "DescribeImages", &g, "imagesSet", take_root,
                     root, err);
    if (r == 0 && !*root)
        r = sc_fail(err, -ENOENT, "image %s: not in %s", l->image, region);
    ec2_add(f, root, "BlockDeviceMapping.1.DeviceName");
    ec2_addu(f, l->disk_gib, "BlockDeviceMapping.1.Ebs.VolumeSize");
    ec2_add(f, "gp3", "BlockDeviceMapping.1.Ebs.VolumeType");
    ec2_add(f, "true", "BlockDeviceMapping.1.Ebs.DeleteOnTermination");
    return r;
}

/* The network's parameters stand in an interface if a public address is asked
 * for, and outside of one if not. */
static void add_network(struct ec2_form *f, const struct options *o,
                        const char *group)
{
    const char *in = o->public_address ? "NetworkInterface.1." : "";
    if (o->public_address) {
        ec2_add(f, "0", "NetworkInterface.1.DeviceIndex");
        ec2_add(f, "true", "NetworkInterface.1.AssociatePublicIpAddress");
    }
    ec2_add(f, o->subnet, "%sSubnetId", in);
    if (*group)
        ec2_add(f, group, "%sSecurityGroupId.1", in);
    for (unsigned i = 0; i < o->n_groups; i++)
        ec2_add(f, o->groups[i], "%sSecurityGroupId.%u", in,
                i + 1 + (*group != 0));
}

static void add_spot(const struct provider_launch *l, struct ec2_form *f)
{
    char price[32];
    if (!l->spot)
        return;
    ec2_add(f, "spot", "InstanceMarketOptions.MarketType");
    ec2_add(f, "one-time",
            "InstanceMarketOptions.SpotOptions."
            "SpotInstanceType");
    ec2_add(f, "terminate",
            "InstanceMarketOptions.SpotOptions."
            "InstanceInterruptionBehavior");
    snprintf(price, sizeof price, "%.6g", l->max_price);
    if (l->max_price > 0)
        ec2_add(f, price, "InstanceMarketOptions.SpotOptions.MaxPrice");
}

static int run_instance(struct p_ec2 *p, const struct provider_launch *l,
                        const char *region, const struct options *o,
                        const char *group, unsigned start,
                        struct provider_instance *ret, struct sc_err *err)
{
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    SC_AUTO(xml_free) struct xml *x = NULL;
    SC_AUTO(free) char *data = NULL;
    char token[80];
    snprintf(token, sizeof token, start ? "%.60s-%u" : "%s", l->tags.token,
             start);
    if (l->user_data && *l->user_data &&
        !(data = json_b64_encode(l->user_data, strlen(l->user_data))))
        return sc_fail(err, -ENOMEM, "out of memory");
    ec2_add(&f, l->image, "ImageId");
    ec2_add(&f, l->type ? l->type : DEFAULT_TYPE, "InstanceType");
    ec2_add(&f, "1", "MinCount");
    ec2_add(&f, "1", "MaxCount");
    ec2_add(&f, token, "ClientToken");
    ec2_add(&f, data, "UserData");
    ec2_add(&f, o->key, "KeyName");
    ec2_add(&f, l->zone, "Placement.AvailabilityZone");
    ec2_add(&f, "required", "MetadataOptions.HttpTokens");
    /* The first hop is our dom0; its guests get no answer. */
    ec2_add(&f, "1", "MetadataOptions.HttpPutResponseHopLimit");
    ec2_add(&f, o->nested ? "enabled" : NULL,
            "CpuOptions.NestedVirtualization");
    add_network(&f, o, group);
    add_spot(l, &f);
    ec2_add_tags(&f, 1, "instance", l->name, &l->tags, NULL);
    ec2_add_tags(&f, 2, "volume", l->name, &l->tags, NULL);
    int r = add_disk(p, l, region, &f, err);
    if (r == 0)
        r = ec2_call(p, EC2_EC2, region, "RunInstances", &f, &x, err);
    if (r < 0)
        return r;
    const struct xml_node *item = xml_get(xml_root(x), "instancesSet/item");
    if (!item || !*xml_text(item, "instanceId"))
        return sc_fail(err, -EPROTO,
                       "RunInstances: an answer without an "
                       "instance");
    r = ec2_read_instance(p, region, item, ret);
    return r < 0 ? sc_fail(err, r, "out of memory") : 0;
}

struct reason {
    char code[64], words[160];
};

static int take_reason(void *arg, const struct xml_node *reservation)
{
    struct reason *r = arg;
    const struct xml_node *i = xml_get(reservation, "instancesSet/item");
    snprintf(r->code, sizeof r->code, "%s", xml_text(i, "stateReason/code"));
    snprintf(r->words, sizeof r->words, "%s",
             xml_text(i, "stateReason/message"));
    return 0;
}

/* Why an instance ended before it ran, in the provider's words. */
static int say_why(struct p_ec2 *p, const char *region, const char *id,
                   struct sc_err *err)
{
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    struct reason why = { 0 };
    struct sc_err other = { 0 };
    ec2_add(&f, id, "InstanceId.1");
    (void)!ec2_each(p, region, "DescribeInstances", &f, "reservationSet",
                    take_reason, &why, &other);
    int code = strstr(why.code, "Capacity")  ? -ENOSPC
               : strstr(why.code, "SpotMax") ? -ENOSPC
               : strstr(why.code, "Limit")   ? -EDQUOT
               : strstr(why.code, "KmsKey")  ? -EACCES
                                             : -EIO;
    return sc_fail(err, code, "instance %s in %s ended at once: %s: %s%s", id,
                   region, why.code, why.words,
                   code == -ENOSPC   ? ": try another zone or type, or later"
                   : code == -EDQUOT ? ": ask the provider for a larger quota"
                                     : "");
}

/* Until it runs, and has the address it gets. */
static int wait_running(struct p_ec2 *p, const char *region,
                        const struct options *o,
                        struct provider_instance *inout, struct sc_err *err)
{
    for (unsigned n = 0;; n++) {
        struct provider_instance now = { 0 };
        int r = ec2_find_instance(p, region, inout->id, &now, err);
        if (r == 0) {
            provider_instance_clear(inout);
            *inout = now;
        } else if (r != -ENOENT || n == LOOKS_MAX) {
            return r; /* A new one may not be known everywhere yet. */
        }
        if (inout->state == PROVIDER_TERMINATED)
            return say_why(p, region, inout->id, err);
        bool done = inout->state == PROVIDER_RUNNING && *inout->address;
        if (done && o->public_address &&
            !strcmp(inout->address, inout->private_address) &&
            n < LOOKS_MAX / 4)
            done = false;
        if (done)
            return 0;
        if (n == LOOKS_MAX)
            return sc_fail(err, -ETIMEDOUT, "instance %s in %s does not start",
                           inout->id, region);
        provider_progress(&p->up, "start", 0, 0);
        if ((r = ec2_pause(p, n, err)) < 0)
            return r;
    }
}

static int launch(struct p_ec2 *p, const struct provider_launch *l,
                  const char *region, struct provider_instance *ret,
                  struct sc_err *err)
{
    struct options o;
    struct group group = { &l->tags, "" };
    char vpc[64] = "";
    int r = read_options(l->options, &o, err);
    if (r == 0 && l->rules)
        r = find_vpc(p, region, &o, vpc, err);
    if (r < 0)
        return r;
    if (l->rules) {
        provider_progress(&p->up, "firewall", 0, 0);
        r = make_group(p, l, region, vpc, &group, err);
        if (r == 0 && l->n_rules)
            r = add_rules(p, l, region, group.id, err);
    }
    for (unsigned n = 0; r == 0 && n < STARTS_MAX; n++) {
        provider_progress(&p->up, "launch", 0, 0);
        provider_instance_clear(ret);
        r = run_instance(p, l, region, &o, group.id, n, ret, err);
        /* The token may bring back one that was undone: then a new one. */
        if (r == 0 && ret->state != PROVIDER_TERMINATED)
            break;
    }
    return r == 0 ? wait_running(p, region, &o, ret, err) : r;
}

int ec2_launch(struct provider *up, const struct provider_launch *l,
               struct provider_instance *ret, struct sc_err *err)
{
    struct p_ec2 *p = (struct p_ec2 *)up;
    const char *region = ec2_region(p, l->region);
    struct provider_instance i = { 0 };
    int r = launch(p, l, region, &i, err);
    if (r == 0) {
        *ret = i;
        return 0;
    }
    const struct ec2_known known = { "instance", i.id };
    ec2_undo(p, region, EC2_MADE_INSTANCE, &l->tags, &known, 1, err);
    provider_instance_clear(&i);
    return r;
}

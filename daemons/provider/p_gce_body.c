/* p_gce_body - see p_gce.h: what is asked for when an instance is made.  Pure.
 *
 * launch options: "network" and "subnetwork" (names or paths), "disk_type"
 * ("pd-balanced"), "nic_type" ("GVNIC", "VIRTIO_NET"), "nested" (true: VT-x
 * inside), "termination_action" of a spot instance ("DELETE", "STOP"). */
#include "provider/p_gce.h"

#define DEFAULT_DISK "pd-balanced"

static bool is_utf8(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        unsigned more = *c < 0x80           ? 0
                        : (*c >> 5) == 0x06 ? 1
                        : (*c >> 4) == 0x0e ? 2
                        : (*c >> 3) == 0x1e ? 3
                                            : 9;
        if (more == 9 || *c == 0xc0 || *c == 0xc1)
            return false;
        for (c++; more; more--, c++)
            if ((*c & 0xc0) != 0x80)
                return false;
    }
    return true;
}

void gce_tag_of(const char *instance, char ret[64])
{
    char uuid[37];
    if (strlen(instance) <= 58) {
        snprintf(ret, 64, "sc-%s", instance);
        return;
    }
    rest_uuid_of(instance, uuid);
    snprintf(ret, 64, "sc-%.40s-%.8s", instance, uuid);
}

/* Of the image, in whatever form it was given: "projects/P/global/images/I". */
static void image_path(const char *project, const char *image, char ret[512])
{
    if (strchr(image, '/'))
        snprintf(ret, 512, "%s", gce_path(image));
    else
        snprintf(ret, 512, "projects/%s/global/images/%s", project, image);
}

/* Metadata: text as it is, what JSON cannot carry in base64; and the image,
 * which Google does not tell of an instance. */
static cJSON *metadata(const char *project, const struct provider_launch *l)
{
    char image[512];
    image_path(project, l->image, image);
    cJSON *items = rest_json("[{'key':'" GCE_IMAGE "','value':%s}]", image);
    const char *text = l->user_data ? l->user_data : "";
    if (*text && is_utf8(text)) {
        cJSON_AddItemToArray(items,
                             rest_json("{'key':'user-data','value':%s}", text));
    } else if (*text) {
        SC_AUTO(free) char *coded = json_b64_encode(text, strlen(text));
        cJSON_AddItemToArray(items, rest_json("{'key':'user-data','value':%s}",
                                              coded ? coded : ""));
        cJSON_AddItemToArray(
            items, rest_json("{'key':'user-data-encoding','value':'base64'}"));
    }
    return rest_json("{'items':%j}", items);
}

static cJSON *disks(const char *project, const char *zone,
                    const struct provider_launch *l)
{
    char type[256], image[512];
    const char *disk = rest_str(l->options, "disk_type");
    snprintf(type, sizeof type, "projects/%s/zones/%s/diskTypes/%s", project,
             zone, *disk ? disk : DEFAULT_DISK);
    image_path(project, l->image, image);
    cJSON *p = rest_json("{'sourceImage':%s,'diskType':%s,'labels':%j}", image,
                         type, gce_labels(&l->tags));
    if (p && l->disk_gib)
        json_set_strf(p, "diskSizeGb", "%u", l->disk_gib);
    return rest_json("[{'boot':true,'autoDelete':true,'type':'PERSISTENT',"
                     "'mode':'READ_WRITE','initializeParams':%j}]",
                     p);
}

static void link_of(const char *project, const char *what, const char *name,
                    const char *folder, char ret[256])
{
    if (strchr(name, '/'))
        snprintf(ret, 256, "%s", gce_path(name));
    else
        snprintf(ret, 256, "projects/%s/%s/%s/%s", project, folder, what, name);
}

static cJSON *nics(const char *project, const char *zone,
                   const struct provider_launch *l)
{
    char network[256], subnetwork[256], region[96];
    const char *net = rest_str(l->options, "network");
    const char *sub = rest_str(l->options, "subnetwork");
    const char *nic = rest_str(l->options, "nic_type");
    cJSON *o = rest_json("{'accessConfigs':[{'name':'External NAT','type':"
                         "'ONE_TO_ONE_NAT','networkTier':'PREMIUM'}]}");
    if (*net || !*sub) {
        link_of(project, "networks", *net ? net : "default", "global", network);
        cJSON_AddStringToObject(o, "network", network);
    }
    if (*sub) {
        const char *dash = strrchr(zone, '-');
        snprintf(region, sizeof region, "regions/%.*s",
                 dash ? (int)(dash - zone) : 0, zone);
        link_of(project, "subnetworks", sub, region, subnetwork);
        cJSON_AddStringToObject(o, "subnetwork", subnetwork);
    }
    if (*nic)
        cJSON_AddStringToObject(o, "nicType", nic);
    return rest_json("[%j]", o);
}

static cJSON *scheduling(const struct provider_launch *l)
{
    const char *action = rest_str(l->options, "termination_action");
    bool nested = cJSON_IsTrue(rest_at(l->options, "nested"));
    if (l->spot)
        return rest_json("{'provisioningModel':'SPOT','preemptible':true,"
                         "'instanceTerminationAction':%s,"
                         "'automaticRestart':false,"
                         "'onHostMaintenance':'TERMINATE'}",
                         *action ? action : "DELETE");
    return rest_json("{'provisioningModel':'STANDARD','automaticRestart':%b,"
                     "'onHostMaintenance':%s}",
                     1, nested ? "TERMINATE" : "MIGRATE");
}

cJSON *gce_instance_body(const char *project, const char *zone,
                         const char *type, const struct provider_launch *l,
                         const char *tag)
{
    char machine[256];
    snprintf(machine, sizeof machine, "zones/%s/machineTypes/%s", zone, type);
    cJSON *o =
        rest_json("{'name':%s,'description':%s,'machineType':%s,'labels':%j,"
                  "'tags':{'items':[%s]},'disks':%j,'networkInterfaces':%j,"
                  "'metadata':%j,'scheduling':%j,'serviceAccounts':[],"
                  "'shieldedInstanceConfig':{'enableSecureBoot':false}}",
                  l->name, "Supercloud instance", machine, gce_labels(&l->tags),
                  tag, disks(project, zone, l), nics(project, zone, l),
                  metadata(project, l), scheduling(l));
    if (o && cJSON_IsTrue(rest_at(l->options, "nested")))
        cJSON_AddItemToObject(o, "advancedMachineFeatures",
                              rest_json("{'enableNestedVirtualization':true}"));
    return o;
}

static cJSON *allowed(const struct provider_rule *r)
{
    if (!strcmp(r->protocol, "icmp") || !r->port_from)
        return rest_json("{'IPProtocol':%s}", r->protocol);
    char ports[32];
    if (r->port_to > r->port_from)
        snprintf(ports, sizeof ports, "%u-%u", r->port_from, r->port_to);
    else
        snprintf(ports, sizeof ports, "%u", r->port_from);
    return rest_json("{'IPProtocol':%s,'ports':[%s]}", r->protocol, ports);
}

cJSON *gce_firewall_bodies(const char *project, const char *network,
                           const struct provider_launch *l, const char *tag)
{
    char link[256], name[80], description[256];
    cJSON *list = cJSON_CreateArray();
    link_of(project, "networks", *network ? network : "default", "global",
            link);
    snprintf(description, sizeof description, "%s=%s %s=%s", GCE_CLUSTER,
             l->tags.cluster, GCE_TOKEN, l->tags.token);
    for (size_t i = 0; list && i < l->n_rules; i++) {
        const char *cidr = l->rules[i].cidr;
        cJSON *o = NULL, *known;
        cJSON_ArrayForEach(known, list)
        {
            if (!strcmp(rest_str(known, "sourceRanges.0"), cidr))
                o = known;
        }
        if (!o) {
            snprintf(name, sizeof name, "%.60s-%d", tag,
                     cJSON_GetArraySize(list));
            o = rest_json("{'name':%s,'description':%s,'network':%s,"
                          "'direction':'INGRESS','priority':1000,"
                          "'sourceRanges':[%s],'targetTags':[%s],"
                          "'allowed':[]}",
                          name, description, link, cidr, tag);
            cJSON_AddItemToArray(list, o);
        }
        cJSON_AddItemToArray(cJSON_GetObjectItem(o, "allowed"),
                             allowed(&l->rules[i]));
    }
    return list;
}

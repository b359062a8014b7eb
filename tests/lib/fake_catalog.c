/* fake_catalog - what the simulated clouds offer: drivers with their settings,
 * regions, types and prices (invented, of the right order). */
#include "tests/lib/fake_providers.h"

#include "common/json.h"

#include <string.h>

static const char drivers_json[] =
    "[{\"name\":\"ec2\",\"about\":\"Amazon "
    "EC2\",\"user_data_max\":16384,\"image_format\":\"raw\","
    "\"permissions\":\"an IAM user with the policy "
    "docs/providers/ec2-policy.json: "
    "instances, images, snapshots (EBS direct APIs) and security groups\","
    "\"fields\":[{\"name\":\"access_key_id\",\"about\":\"of an IAM user or "
    "role\","
    "\"required\":true,\"secret\":false},{\"name\":\"secret_access_key\","
    "\"about\":\"the "
    "key's "
    "secret\",\"required\":true,\"secret\":true},{\"name\":\"session_token\","
    "\"about\":\"of temporary "
    "credentials\",\"required\":false,\"secret\":true},"
    "{\"name\":\"regions\",\"about\":\"like eu-west-1, us-east-1; the first "
    "is the "
    "default\",\"required\":true,\"secret\":false},{\"name\":\"endpoint_ec2\","
    "\"about\":\"URL of another EC2-compatible cloud; {region} in it is "
    "replaced\",\"required\":false,\"secret\":false},{\"name\":\"ca_file\","
    "\"about\":\"authorities "
    "to trust instead of the system's\",\"required\":false,\"secret\":false}]},"
    "{\"name\":\"gce\",\"about\":\"Google Compute "
    "Engine\",\"user_data_max\":262144,"
    "\"image_format\":\"tar.gz\",\"permissions\":\"the custom role of "
    "docs/providers/gce-role.yaml "
    "on the project, Storage Object Admin on the "
    "bucket\",\"fields\":[{\"name\":\"service_account\","
    "\"about\":\"the JSON key of a service account, as Google's console "
    "gives "
    "it\",\"required\":true,\"secret\":true},{\"name\":\"project\",\"about\":"
    "\"project "
    "id; left out: the key's own\",\"required\":false,\"secret\":false},"
    "{\"name\":\"region\",\"about\":\"regions to use, comma separated, the "
    "first by "
    "default\",\"required\":false,\"secret\":false},{\"name\":\"bucket\","
    "\"about\":\"Cloud Storage bucket that images are uploaded through\","
    "\"required\":false,\"secret\":false},{\"name\":\"api_key\",\"about\":"
    "\"API "
    "key for the price catalog; left out: the account's "
    "token\",\"required\":false,"
    "\"secret\":true},{\"name\":\"ca_file\",\"about\":\"authorities to trust "
    "instead of the "
    "system's\",\"required\":false,\"secret\":false},{\"name\":\"compute_"
    "endpoint\","
    "\"about\":\"default "
    "https://compute.googleapis.com/compute/v1\",\"required\":false,"
    "\"secret\":false}]},{\"name\":\"azure\",\"about\":\"Microsoft Azure (no "
    "Xen there: KVM on types with nested "
    "virtualisation)\",\"user_data_max\":65535,"
    "\"image_format\":\"vhd\",\"permissions\":\"the custom role of "
    "docs/providers/azure-role.json "
    "on the resource "
    "group\",\"fields\":[{\"name\":\"tenant_id\",\"about\":\"directory "
    "(tenant) id\",\"required\":true,\"secret\":false},{\"name\":\"client_id\","
    "\"about\":\"application (client) id\",\"required\":true,\"secret\":false},"
    "{\"name\":\"client_secret\",\"about\":\"a secret of that application\","
    "\"required\":true,\"secret\":true},{\"name\":\"subscription_id\","
    "\"about\":\"subscription "
    "id\",\"required\":true,\"secret\":false},{\"name\":\"resource_group\","
    "\"about\":\"resource "
    "group to make everything in; must be "
    "there\",\"required\":true,\"secret\":false},"
    "{\"name\":\"location\",\"about\":\"locations to use, comma separated,"
    " the first by "
    "default\",\"required\":false,\"secret\":false},{\"name\":\"ca_file\","
    "\"about\":\"authorities to trust instead of the "
    "system's\",\"required\":false,"
    "\"secret\":false}]},{\"name\":\"openstack\",\"about\":\"OpenStack clouds,"
    " Rackspace Flex among "
    "them\",\"user_data_max\":65535,\"image_format\":\"qcow2\","
    "\"permissions\":\"the role member in the "
    "project\",\"fields\":[{\"name\":\"auth_url\","
    "\"about\":\"Keystone's URL, as in "
    "clouds.yaml\",\"required\":true,\"secret\":false},"
    "{\"name\":\"username\",\"about\":\"user; with "
    "'password'\",\"required\":false,"
    "\"secret\":false},{\"name\":\"password\",\"about\":\"password of "
    "'username'\","
    "\"required\":false,\"secret\":true},{\"name\":\"project_name\",\"about\":"
    "\"project; "
    "with "
    "'username'\",\"required\":false,\"secret\":false},{\"name\":\"application_"
    "credential_id\","
    "\"about\":\"id of an application credential, instead of user and "
    "project\",\"required\":false,\"secret\":false},{\"name\":\"application_"
    "credential_secret\","
    "\"about\":\"its "
    "secret\",\"required\":false,\"secret\":true},{\"name\":\"region\","
    "\"about\":\"region, or several separated by commas\",\"required\":false,"
    "\"secret\":false}]},{\"name\":\"rackspace-classic\",\"about\":\"Rackspace'"
    "s "
    "classic public cloud "
    "(XenServer)\",\"user_data_max\":65535,\"image_format\":\"vhd\","
    "\"permissions\":\"the roles nova:creator and "
    "glance:creator\",\"fields\":[{\"name\":\"username\","
    "\"about\":\"user of the Rackspace "
    "account\",\"required\":true,\"secret\":false},"
    "{\"name\":\"api_key\",\"about\":\"API key of the user (Account "
    "settings)\","
    "\"required\":true,\"secret\":true},{\"name\":\"region\",\"about\":"
    "\"region,"
    " or several separated by commas (default: all)\",\"required\":false,"
    "\"secret\":false}]},{\"name\":\"local\",\"about\":\"QEMU on this "
    "machine\","
    "\"user_data_max\":1048576,\"image_format\":\"\",\"permissions\":\"\","
    "\"fields\":[{\"name\":\"dir\","
    "\"about\":\"folder for the "
    "instances\",\"required\":true,\"secret\":false},"
    "{\"name\":\"like\",\"about\":\"provider whose hardware and services "
    "machines "
    "have\",\"required\":false,\"secret\":false}]}]";

static const struct fake_driver drivers[] = {
    { "ec2",
      "raw",
      16384,
      { "us-east-1", "eu-central-1", "ap-northeast-1", "sa-east-1" } },
    { "gce",
      "tar.gz",
      262144,
      { "us-central1", "europe-west3", "asia-northeast1" } },
    { "azure", "vhd", 65535, { "eastus", "germanywestcentral", "japaneast" } },
    { "openstack", "qcow2", 65535, { "SJC3", "DFW3", "IAD3" } },
    { "rackspace-classic", "vhd", 65535, { "DFW", "ORD", "SYD" } },
    { "local", "", 1048576, { "lab-west", "lab-east" } },
};

const struct fake_type fake_types[] = {
    { "ec2", "t3.medium", 2, 4096, false, true, 0.0416, 0.0158 },
    { "ec2", "c7i.large", 2, 4096, false, true, 0.0893, 0.0371 },
    { "ec2", "m7i.large", 2, 8192, false, true, 0.1008, 0.0402 },
    { "ec2", "m7i.xlarge", 4, 16384, false, true, 0.2016, 0.0788 },
    { "ec2", "r7i.xlarge", 4, 32768, false, true, 0.2646, 0.0911 },
    { "ec2", "m8i.xlarge", 4, 16384, true, true, 0.2117, 0.1165 },
    { "ec2", "c7i.4xlarge", 16, 32768, false, true, 0.714, 0.2731 },
    { "ec2", "m6g.large", 2, 8192, false, false, 0.077, 0.0296 },
    { "gce", "e2-standard-2", 2, 8192, false, true, 0.067, 0.0268 },
    { "gce", "n2-standard-2", 2, 8192, true, true, 0.0971, 0.0243 },
    { "gce", "n2-standard-4", 4, 16384, true, true, 0.1942, 0.0486 },
    { "gce", "c3-standard-4", 4, 16384, true, true, 0.2088, 0.0634 },
    { "azure", "Standard_B2s", 2, 4096, false, false, 0.0416, 0.0125 },
    { "azure", "Standard_D2s_v5", 2, 8192, true, false, 0.096, 0.0181 },
    { "azure", "Standard_D4s_v5", 4, 16384, true, false, 0.192, 0.0362 },
    { "openstack", "gp.0.2.4", 2, 4096, false, true, 0, 0 },
    { "openstack", "gp.0.4.8", 4, 8192, false, true, 0, 0 },
    { "rackspace-classic", "general1-4", 4, 4096, false, true, 0, 0 },
    { "rackspace-classic", "general1-8", 8, 8192, false, true, 0, 0 },
    { "local", "local", 2, 3072, false, true, 0, 0 },
};
const size_t fake_n_types = SC_ARRAY_LEN(fake_types);

const struct fake_driver *fake_driver_find(const char *name)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(drivers); i++)
        if (strcmp(drivers[i].name, name) == 0)
            return &drivers[i];
    return NULL;
}

const struct fake_driver *fake_driver_of(const cJSON *account)
{
    return fake_driver_find(fake_str(account, "driver"));
}

cJSON *fake_drivers_json(void)
{
    return cJSON_Parse(drivers_json);
}

static int region_at(const struct fake_driver *d, const char *region)
{
    for (int i = 0; i < (int)SC_ARRAY_LEN(d->regions) && d->regions[i]; i++)
        if (strcmp(d->regions[i], region) == 0)
            return i;
    return -1;
}

int fake_region_check(const struct fake_driver *d, const char *region,
                      struct sc_err *err)
{
    if (region_at(d, region) >= 0)
        return 0;
    return sc_fail(err, -ENOENT, "%s: region '%s': not found; there are %s, %s",
                   d->name, region, d->regions[0], d->regions[1]);
}

const struct fake_type *fake_type_find(const struct fake_driver *d,
                                       const char *name, struct sc_err *err)
{
    for (size_t i = 0; i < fake_n_types; i++)
        if (strcmp(fake_types[i].driver, d->name) == 0 &&
            (!*name || strcmp(fake_types[i].name, name) == 0))
            return &fake_types[i];
    sc_fail(err, -ENOENT,
            "%s: InvalidParameterValue: type '%s' does not exist (request id "
            "fake-0003); see the types of the region",
            d->name, name);
    return NULL;
}

double fake_price(const struct fake_driver *d, const struct fake_type *t,
                  const char *region, int zone, bool spot)
{
    int at = region_at(d, region);
    double there = 1 + 0.17 * (at > 0 ? at : 0);
    /* Spot prices differ by zone and by type; the same each time. */
    double market = 1 + 0.06 * ((zone * 7 + (t->vcpus * 5 + at) % 4) % 5);
    double usd = spot ? t->spot * there * market : t->on_demand * there;
    return (double)(long)(usd * 10000 + 0.5) / 10000;
}

/* --- the operations that read it ------------------------------------------ */

/* Account and region of params; the region's absence is an error. */
static const struct fake_driver *read_place(struct fake_cluster *f,
                                            const cJSON *p, struct sc_err *err)
{
    const cJSON *account = fake_cloud(f, p, err);
    if (!account)
        return NULL;
    const struct fake_driver *d = fake_driver_of(account);
    return fake_region_check(d, fake_str(p, "region"), err) < 0 ? NULL : d;
}

int fake_op_regions(struct fake_cluster *f, const struct api_caller *who,
                    const cJSON *p, int *status, cJSON **ret,
                    struct sc_err *err)
{
    (void)who, (void)status;
    const cJSON *account = fake_cloud(f, p, err);
    if (!account)
        return err->code;
    const struct fake_driver *d = fake_driver_of(account);
    *ret = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(*ret, "regions");
    for (size_t i = 0; d->regions[i]; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(d->regions[i]));
    return 0;
}

int fake_op_types(struct fake_cluster *f, const struct api_caller *who,
                  const cJSON *p, int *status, cJSON **ret, struct sc_err *err)
{
    (void)who, (void)status;
    const struct fake_driver *d = read_place(f, p, err);
    if (!d)
        return err->code;
    *ret = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(*ret, "types");
    for (size_t i = 0; i < fake_n_types; i++) {
        const struct fake_type *t = &fake_types[i];
        if (strcmp(t->driver, d->name) != 0)
            continue;
        cJSON *o = cJSON_CreateObject();
        fake_set_str(o, "name", t->name);
        fake_set_num(o, "vcpus", t->vcpus);
        fake_set_num(o, "memory_mib", t->memory_mib);
        cJSON_AddBoolToObject(o, "nested_virtualisation", t->nested);
        cJSON_AddBoolToObject(o, "xen", t->xen);
        cJSON_AddItemToArray(list, o);
    }
    return 0;
}

static void add_price(cJSON *list, const char *type, const char *region,
                      const char *zone, const char *what, const char *unit,
                      double amount)
{
    cJSON *o = cJSON_CreateObject();
    fake_set_str(o, "type", type);
    fake_set_str(o, "region", region);
    fake_set_str(o, "zone", zone);
    fake_set_str(o, "what", what);
    fake_set_str(o, "unit", unit);
    fake_set_num(o, "amount", amount);
    fake_set_num(o, "at", (double)sc_wall_ms() - 600e3);
    cJSON_AddItemToArray(list, o);
}

int fake_op_prices(struct fake_cluster *f, const struct api_caller *who,
                   const cJSON *p, int *status, cJSON **ret, struct sc_err *err)
{
    (void)who, (void)status;
    const struct fake_driver *d = read_place(f, p, err);
    if (!d)
        return err->code;
    const char *region = fake_str(p, "region"), *only = fake_str(p, "type");
    *ret = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(*ret, "prices");
    for (size_t i = 0; i < fake_n_types; i++) {
        const struct fake_type *t = &fake_types[i];
        if (strcmp(t->driver, d->name) != 0 || t->on_demand == 0 ||
            (*only && strcmp(only, t->name) != 0))
            continue;
        add_price(list, t->name, region, "", "on-demand", "hour",
                  fake_price(d, t, region, 0, false));
        for (int z = 0; z < 3 && t->spot > 0; z++) {
            char zone[64];
            snprintf(zone, sizeof zone, "%s%c", region, 'a' + z);
            add_price(list, t->name, region, zone, "spot", "hour",
                      fake_price(d, t, region, z, true));
        }
    }
    if (cJSON_GetArraySize(list) > 0 && !*only) {
        add_price(list, "", region, "", "egress-internet", "GiB", 0.09);
        add_price(list, "", region, "", "egress-region", "GiB", 0.02);
    }
    return 0;
}

/* p_azure_body - see p_azure.h: what is asked for when a machine is made.  Pure
 * but for the key nobody has.
 *
 * launch options: "subnet" (the id of one there is; left out: one of ours),
 * "disk_type" ("StandardSSD_LRS"), "eviction" of a spot machine ("Deallocate",
 * "Delete"), "ssh_key" (a public key; left out: nobody's), "admin" (the name of
 * the user Azure insists on). */
#include "provider/p_azure.h"

#include <ctype.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <strings.h>

#define DEFAULT_DISK "StandardSSD_LRS"
#define DEFAULT_ADMIN "supercloud"
#define NETWORK "10.77.0.0/16"

static void pkey_free(EVP_PKEY *k)
{
    EVP_PKEY_free(k);
}
SC_CLEANUP(EVP_PKEY, pkey_free)
static void bn_free(BIGNUM *n)
{
    BN_free(n);
}
SC_CLEANUP(BIGNUM, bn_free)

/* Adds a field of an SSH key: its length and bytes. */
static size_t put_field(unsigned char *at, const void *data, size_t size)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(size >> (24 - 8 * i));
    memcpy(at + 4, data, size);
    return size + 4;
}

/* A number's bytes are never negative: a leading 0 where the top bit is set. */
static size_t put_number(unsigned char *at, const BIGNUM *n)
{
    unsigned char bytes[600] = { 0 };
    int size = BN_num_bytes(n);
    if (size < 1 || size > (int)sizeof bytes - 1)
        return 0;
    BN_bn2bin(n, bytes + 1);
    return bytes[1] & 0x80 ? put_field(at, bytes, (size_t)size + 1)
                           : put_field(at, bytes + 1, (size_t)size);
}

int azure_nobodys_key(char **ret, struct sc_err *err)
{
    SC_AUTO(pkey_free) EVP_PKEY *key = EVP_RSA_gen(2048);
    SC_AUTO(bn_free) BIGNUM *n = NULL;
    SC_AUTO(bn_free) BIGNUM *e = NULL;
    unsigned char blob[1300];
    if (!key || !EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) ||
        !EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e))
        return sc_fail(err, -EIO, "azure: no key could be made");
    size_t size = put_field(blob, "ssh-rsa", 7);
    size += put_number(blob + size, e);
    size += put_number(blob + size, n);
    SC_AUTO(free) char *text = json_b64_encode(blob, size);
    if (!text || asprintf(ret, "ssh-rsa %s nobody", text) < 0)
        return sc_fail(err, -ENOMEM, "azure: out of memory");
    return 0;
}

cJSON *azure_vm_body(const struct p_azure *p, const struct provider_launch *l,
                     const char *location, const char *type,
                     const char *image_id, const char *nic_id,
                     const char *ssh_key)
{
    const char *disk_type = rest_str(l->options, "disk_type");
    const char *admin = rest_str(l->options, "admin");
    const char *eviction = rest_str(l->options, "eviction");
    char disk[96], path[160];
    (void)p;
    snprintf(disk, sizeof disk, "%s-disk", l->name);
    snprintf(path, sizeof path, "/home/%.64s/.ssh/authorized_keys",
             *admin ? admin : DEFAULT_ADMIN);
    cJSON *os_disk = rest_json(
        "{'name':%s,'createOption':'FromImage','deleteOption':'Delete',"
        "'caching':'ReadWrite','managedDisk':{'storageAccountType':%s}}",
        disk, *disk_type ? disk_type : DEFAULT_DISK);
    if (os_disk && l->disk_gib)
        cJSON_AddNumberToObject(os_disk, "diskSizeGB", l->disk_gib);
    cJSON *os =
        rest_json("{'computerName':%s,'adminUsername':%s,"
                  "'linuxConfiguration':{'disablePasswordAuthentication':true,"
                  "'provisionVMAgent':false,'ssh':{'publicKeys':[{'path':%s,"
                  "'keyData':%s}]}},'allowExtensionOperations':false}",
                  l->name, *admin ? admin : DEFAULT_ADMIN, path, ssh_key);
    if (os && l->user_data && *l->user_data) {
        SC_AUTO(free)
        char *data = json_b64_encode(l->user_data, strlen(l->user_data));
        cJSON_AddStringToObject(os, "customData", data ? data : "");
    }
    cJSON *o = rest_json(
        "{'location':%s,'tags':%j,'properties':{"
        "'hardwareProfile':{'vmSize':%s},"
        "'storageProfile':{'imageReference':{'id':%s},'osDisk':%j},"
        "'osProfile':%j,"
        "'networkProfile':{'networkInterfaces':[{'id':%s,'properties':{"
        "'primary':true,'deleteOption':'Delete'}}]},"
        "'diagnosticsProfile':{'bootDiagnostics':{'enabled':true}}}}",
        location, azure_tags(&l->tags), type, image_id, os_disk, os, nic_id);
    cJSON *q = cJSON_GetObjectItem(o, "properties");
    if (q && l->spot) {
        cJSON_AddStringToObject(q, "priority", "Spot");
        cJSON_AddStringToObject(q, "evictionPolicy",
                                *eviction ? eviction : "Delete");
        /* -1: up to the price on demand. */
        cJSON_AddItemToObject(q, "billingProfile",
                              rest_json("{'maxPrice':%f}", l->max_price > 0
                                                               ? l->max_price
                                                               : -1.0));
    }
    if (o && l->zone && *l->zone)
        cJSON_AddItemToObject(o, "zones", rest_json("[%s]", l->zone));
    return o;
}

cJSON *azure_nsg_body(const struct provider_launch *l, const char *location)
{
    cJSON *rules = cJSON_CreateArray();
    for (size_t i = 0; rules && i < l->n_rules; i++) {
        const struct provider_rule *r = &l->rules[i];
        char name[32], ports[32] = "*", protocol[16];
        snprintf(name, sizeof name, "allow-%zu", i);
        snprintf(protocol, sizeof protocol, "%s", r->protocol);
        *protocol = (char)toupper((unsigned char)*protocol); /* Tcp, Udp */
        if (strcmp(r->protocol, "icmp") != 0 && r->port_to > r->port_from)
            snprintf(ports, sizeof ports, "%u-%u", r->port_from, r->port_to);
        else if (strcmp(r->protocol, "icmp") != 0 && r->port_from)
            snprintf(ports, sizeof ports, "%u", r->port_from);
        cJSON_AddItemToArray(
            rules, rest_json("{'name':%s,'properties':{'protocol':%s,"
                             "'sourceAddressPrefix':%s,'sourcePortRange':'*',"
                             "'destinationAddressPrefix':'*',"
                             "'destinationPortRange':%s,'access':'Allow',"
                             "'priority':%d,'direction':'Inbound'}}",
                             name, protocol, r->cidr, ports, (int)(100 + i)));
    }
    return rest_json("{'location':%s,'tags':%j,'properties':{"
                     "'securityRules':%j}}",
                     location, azure_tags(&l->tags), rules);
}

cJSON *azure_ip_body(const struct provider_launch *l, const char *location)
{
    cJSON *o = rest_json("{'location':%s,'tags':%j,'sku':{'name':'Standard'},"
                         "'properties':{'publicIPAllocationMethod':'Static',"
                         "'publicIPAddressVersion':'IPv4'}}",
                         location, azure_tags(&l->tags));
    if (o && l->zone && *l->zone)
        cJSON_AddItemToObject(o, "zones", rest_json("[%s]", l->zone));
    return o;
}

cJSON *azure_nic_body(const struct provider_launch *l, const char *location,
                      const char *subnet_id, const char *ip_id,
                      const char *nsg_id)
{
    return rest_json(
        "{'location':%s,'tags':%j,'properties':{"
        "'networkSecurityGroup':{'id':%s},'ipConfigurations':[{"
        "'name':'main','properties':{'privateIPAllocationMethod':'Dynamic',"
        "'subnet':{'id':%s},'publicIPAddress':{'id':%s}}}]}}",
        location, azure_tags(&l->tags), nsg_id, subnet_id, ip_id);
}

/* Shared by all machines of a location, so it carries no launch's token. */
cJSON *azure_vnet_body(const struct provider_launch *l, const char *location)
{
    return rest_json("{'location':%s,'tags':{'" AZURE_CLUSTER "':%s},"
                     "'properties':{'addressSpace':{'addressPrefixes':["
                     "'" NETWORK "']},'subnets':[{'name':'default',"
                     "'properties':{'addressPrefix':'" NETWORK "'}}]}}",
                     location, l->tags.cluster ? l->tags.cluster : "");
}

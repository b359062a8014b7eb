/* p_azure - inside the driver of Microsoft Azure.
 *
 * p_azure.c          settings, regions, types, the class
 * p_azure_api.c      login, requests, pages, operations
 * p_azure_image.c    publish: the image from a managed disk
 * p_azure_upload.c   the disk's pages
 * p_azure_launch.c   a machine with its address, interface, firewall
 * p_azure_body.c     what is asked for
 * p_azure_list.c     machines, and their end
 * p_azure_console.c  the serial log
 * p_azure_left.c     leftovers
 * p_azure_price.c    retail prices
 *
 * All is made in one resource group, which must be there.  An instance's id is
 * its machine's name; what belongs to it is called NAME-nic, NAME-ip, NAME-nsg
 * and NAME-disk.  Tags supercloud-cluster and supercloud-token are on
 * everything.  Azure's machines see VMBus devices alone, which Linux cannot use
 * as Xen's dom0: 'xen' is false for every type.
 * Source: Azure Resource Manager REST API (Microsoft.Compute 2022-08-01 and
 * 2022-07-02 for disks, Microsoft.Network 2022-07-01), Page Blob REST API,
 * Retail Prices API. */
#ifndef SC_PROVIDER_P_AZURE_H
#define SC_PROVIDER_P_AZURE_H

#include "common/json.h"
#include "provider/provider-class.h"
#include "provider/rest.h"
#include "provider/settings.h"

#define AZURE_CLUSTER "supercloud-cluster"
#define AZURE_TOKEN "supercloud-token"
#define AZURE_SHA "supercloud-sha256"
enum { AZURE_URL_MAX = 2048, AZURE_WHAT_MAX = 160, AZURE_PAGES = 4 << 20 };

struct p_azure {
    struct provider up; /* Must be first. */
    struct web *web;
    struct rest rest;
    char *tenant, *client, *secret, *subscription, *group, *location, *ca_file;
    char *management, *login, *prices; /* URLs without a last '/'. */
};

/* --- p_azure_api.c -------------------------------------------------------- */
/* What can be in the resource group; a row each, see azure_type. */
enum azure_kind {
    AZURE_VM,
    AZURE_NIC,
    AZURE_IP,
    AZURE_NSG,
    AZURE_DISK,
    AZURE_IMAGE,
    AZURE_VNET,
    AZURE_N_KINDS
};
struct azure_type {
    const char *kind;     /* Ours: "instance". */
    const char *provider; /* "Microsoft.Compute/virtualMachines" */
    const char *version;  /* Of the API. */
};
const struct azure_type *azure_type(enum azure_kind kind);
extern const struct rest_word azure_words[];
int azure_login(void *arg, char **ret, uint64_t *ret_until, struct sc_err *err);
/* The resource's id: "/subscriptions/S/resourceGroups/G/providers/..." */
void azure_id(const struct p_azure *p, enum azure_kind kind, const char *name,
              char ret[AZURE_URL_MAX]);
/* 'id' with 'action' ("" or "/powerOff") and the API's version; 'query' is ""
 * or "&x=y". */
int azure_call(struct p_azure *p, const char *method, enum azure_kind kind,
               const char *name, const char *action, const char *query,
               cJSON *body, struct rest_answer *ret,
               struct sc_err *err) SC_MUST_CHECK;
/* azure_call, then waits until it is done.  'ret_output' (NULL: not wanted) is
 * what a finished operation gives, the caller's.  'absent_ok': what is not
 * there is 0. */
int azure_do(struct p_azure *p, const char *method, enum azure_kind kind,
             const char *name, const char *action, const char *query,
             cJSON *body, bool absent_ok, cJSON **ret_output,
             struct sc_err *err) SC_MUST_CHECK;
/* GETs it; false in '*ret_found' if it is not there. */
int azure_get(struct p_azure *p, enum azure_kind kind, const char *name,
              struct rest_answer *ret, bool *ret_found,
              struct sc_err *err) SC_MUST_CHECK;
int azure_remove_one(struct p_azure *p, enum azure_kind kind, const char *name,
                     struct sc_err *err) SC_MUST_CHECK;
typedef int azure_each_fn(void *arg, const cJSON *item, struct sc_err *err);
/* Each item of 'key' in all pages from 'url' on, which name the next page in
 * 'next_key'.  'plain': no token (the price list is public). */
int azure_pages(struct p_azure *p, const char *url, const char *key,
                const char *next_key, bool plain, const char *what,
                azure_each_fn *fn, void *arg, struct sc_err *err) SC_MUST_CHECK;
int azure_each(struct p_azure *p, enum azure_kind kind, azure_each_fn *fn,
               void *arg, struct sc_err *err) SC_MUST_CHECK;
/* What an answer says of an operation: one at its Azure-AsyncOperation, or at
 * its Location.  Pure. */
enum rest_step azure_step(const struct rest_answer *a);
enum rest_step azure_step_by_location(const struct rest_answer *a);
cJSON *azure_tags(const struct provider_tags *tags) SC_MUST_CHECK;
bool azure_has_tags(const cJSON *item, const struct provider_tags *tags);
bool azure_name_ok(const char *name); /* 1 to 64 of letters, digits, '-' */
int azure_location(const struct p_azure *p, const char *region, char ret[64],
                   struct sc_err *err) SC_MUST_CHECK;

/* --- p_azure_upload.c ----------------------------------------------------- */
struct image_file;
/* Checks the file is a fixed VHD of whole MiB. */
int azure_vhd_check(const struct image_file *f,
                    struct sc_err *err) SC_MUST_CHECK;
/* 'disk' is ReadyToUpload or ActiveUpload; from byte 'at' on; 'saved' is called
 * with the next byte after each piece that was written. */
int azure_upload(struct p_azure *p, const char *disk,
                 const struct image_file *f, uint64_t at, size_t piece,
                 void (*saved)(void *arg, uint64_t next), void *arg,
                 struct sc_err *err) SC_MUST_CHECK;

/* --- the rest ------------------------------------------------------------- */
int azure_publish(struct provider *up, const struct provider_publish *q,
                  struct provider_image *ret, struct sc_err *err);
int azure_launch(struct provider *up, const struct provider_launch *l,
                 struct provider_instance *ret, struct sc_err *err);
cJSON *azure_vm_body(const struct p_azure *p, const struct provider_launch *l,
                     const char *location, const char *type,
                     const char *image_id, const char *nic_id,
                     const char *ssh_key) SC_MUST_CHECK;
cJSON *azure_nsg_body(const struct provider_launch *l,
                      const char *location) SC_MUST_CHECK;
cJSON *azure_ip_body(const struct provider_launch *l,
                     const char *location) SC_MUST_CHECK;
cJSON *azure_nic_body(const struct provider_launch *l, const char *location,
                      const char *subnet_id, const char *ip_id,
                      const char *nsg_id) SC_MUST_CHECK;
cJSON *azure_vnet_body(const struct provider_launch *l,
                       const char *location) SC_MUST_CHECK;
/* A public key whose private half is thrown away: Azure wants one of every
 * machine, and none is to be logged in to by it.  malloc'd. */
int azure_nobodys_key(char **ret, struct sc_err *err) SC_MUST_CHECK;
int azure_list(struct provider *up, const char *region, provider_each_fn *fn,
               void *arg, struct sc_err *err);
int azure_instance(struct p_azure *p, const char *name,
                   struct provider_instance *ret,
                   struct sc_err *err) SC_MUST_CHECK;
int azure_terminate(struct provider *up, const char *region, const char *id,
                    struct sc_err *err);
int azure_fence(struct provider *up, const char *region, const char *id,
                struct sc_err *err);
int azure_console(struct provider *up, const char *region, const char *id,
                  char **ret, size_t *ret_size, struct sc_err *err);
int azure_remove_machine(struct p_azure *p, const char *name,
                         struct sc_err *err) SC_MUST_CHECK;
/* PROVIDER_PENDING unless an instance view's statuses say better. */
enum provider_state azure_state_of(const cJSON *statuses);
int azure_leftovers(struct provider *up, const char *cluster,
                    provider_each_resource_fn *fn, void *arg,
                    struct sc_err *err);
int azure_remove(struct provider *up, const char *kind, const char *region,
                 const char *id, struct sc_err *err);
int azure_prices(struct provider *up, const char *region, const char *type,
                 provider_each_price_fn *fn, void *arg, struct sc_err *err);
/* One line of the price list (pure): false if it is of no use to us; else
 * '*ret' borrows from 'item'. */
bool azure_price_read(const cJSON *item, struct provider_price *ret);
/* From a SKU's name: VT-x or SVM inside. */
bool azure_nested(const char *type);
/* One SKU (pure): false if it is no machine type to be had in 'location';
 * '*ret' borrows from 'sku'. */
bool azure_sku_read(const cJSON *sku, const char *location,
                    struct provider_type *ret);
int azure_types(struct provider *up, const char *region,
                provider_each_type_fn *fn, void *arg, struct sc_err *err);

#endif

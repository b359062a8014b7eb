/* p_gce - inside the driver of Google Compute Engine.
 *
 * p_gce.c           settings, regions, types, the class
 * p_gce_api.c       login by JWT, requests, pages, operations
 * p_gce_image.c     publish: the image from an object
 * p_gce_upload.c    the object, by a resumable upload
 * p_gce_launch.c    instances and their firewall, what is asked for
 * p_gce_list.c      instances, leftovers, their end
 * p_gce_price.c     the catalog of prices
 *
 * Names of ours: an instance's id is ZONE.NAME (neither may hold a dot); an
 * image's is projects/P/global/images/NAME.  Labels supercloud-cluster and
 * supercloud-token are on all that can have labels; a firewall has them in its
 * description, an object in its name (supercloud/CLUSTER/...) and metadata.
 * Source: Compute Engine API v1, Cloud Storage JSON API v1, Cloud Billing
 * Catalog API v1. */
#ifndef SC_PROVIDER_P_GCE_H
#define SC_PROVIDER_P_GCE_H

#include "common/json.h"
#include "provider/provider-class.h"
#include "provider/rest.h"
#include "provider/settings.h"

#define GCE_CLUSTER "supercloud-cluster"
#define GCE_TOKEN "supercloud-token"
#define GCE_SHA                                                                \
    "supercloud-sha256"              /* The first 40 digits: labels are short. \
                                      */
#define GCE_IMAGE "supercloud-image" /* In an instance's metadata. */
enum { GCE_SHA_LEN = 40, GCE_URL_MAX = 2048, GCE_WHAT_MAX = 160 };

struct p_gce {
    struct provider up; /* Must be first. */
    struct web *web;
    struct rest rest;
    cJSON *account; /* The service account's JSON. */
    char *project, *bucket, *region, *api_key, *ca_file;
    char *compute, *storage, *billing, *login; /* URLs without a last '/'. */
};

/* --- p_gce_api.c ---------------------------------------------------------- */
int gce_login(void *arg, char **ret, uint64_t *ret_until, struct sc_err *err);
extern const struct rest_word gce_words[];
/* A request to compute: 'path' (printf) stands behind the project's URL.
 * 'body' is taken. */
int gce_call(struct p_gce *p, const char *method, cJSON *body,
             struct rest_answer *ret, struct sc_err *err, const char *what,
             const char *path, ...) SC_PRINTF(7, 8) SC_MUST_CHECK;
/* Calls 'fn' for each item of all pages of the list at 'url' ('?' in it if it
 * has parameters).  Items: the array 'key'; for aggregated lists (where 'items'
 * is an object of scopes) the array 'key' of each scope. */
typedef int gce_each_fn(void *arg, const cJSON *item, struct sc_err *err);
int gce_pages(struct p_gce *p, const char *url, const char *key, bool scopes,
              const char *what, gce_each_fn *fn, void *arg,
              struct sc_err *err) SC_MUST_CHECK;
/* Waits for the operation in 'a', the answer to the request that began it, and
 * takes its error for the request's; as rest_wait. */
int gce_wait(struct p_gce *p, struct rest_answer *a, const char *what,
             struct sc_err *err) SC_MUST_CHECK;
/* gce_call and gce_wait.  'absent_ok': what is not there is 0. */
int gce_do(struct p_gce *p, const char *method, cJSON *body, bool absent_ok,
           struct sc_err *err, const char *what, const char *path, ...)
    SC_PRINTF(7, 8) SC_MUST_CHECK;
/* 'text' made fit for a URL; malloc'd. */
char *gce_escape(const char *text) SC_MUST_CHECK;
/* "projects/P/..." of a link in whatever form; 'link' itself if it has none. */
const char *gce_path(const char *link);
bool gce_name_ok(const char *name); /* RFC 1035, at most 63. */
/* {cluster, token} as labels. */
cJSON *gce_labels(const struct provider_tags *tags) SC_MUST_CHECK;
bool gce_has_tags(const cJSON *item, const struct provider_tags *tags);
/* The settings' first region if 'region' is NULL or "". */
int gce_region(const struct p_gce *p, const char *region, char ret[64],
               struct sc_err *err) SC_MUST_CHECK;

/* --- p_gce_upload.c ------------------------------------------------------- */
struct gce_upload {
    const char *file, *object;
    const char *sha256;
    const struct provider_tags *tags;
    uint64_t piece; /* bytes, a multiple of 256 KiB */
    char *session;  /* URL; NULL: none yet.  Owned by the caller. */
};
/* 'saved' is called when u->session has been made. */
int gce_upload(struct p_gce *p, struct gce_upload *u, void (*saved)(void *arg),
               void *arg, struct sc_err *err) SC_MUST_CHECK;
void gce_upload_forget(struct p_gce *p, const char *session);
int gce_object_remove(struct p_gce *p, const char *object,
                      struct sc_err *err) SC_MUST_CHECK;
/* Bytes the server holds, from the Range header of a 308; 0: none. */
uint64_t gce_range_next(const char *range);

/* --- p_gce_image.c, p_gce_launch.c, p_gce_list.c, p_gce_price.c ----------- */
int gce_publish(struct provider *up, const struct provider_publish *q,
                struct provider_image *ret, struct sc_err *err);
int gce_launch(struct provider *up, const struct provider_launch *l,
               struct provider_instance *ret, struct sc_err *err);
/* The body of an instance's insert; NULL: out of memory. */
cJSON *gce_instance_body(const char *project, const char *zone,
                         const char *type, const struct provider_launch *l,
                         const char *tag) SC_MUST_CHECK;
/* One firewall for each address range of 'rules': an array of bodies. */
cJSON *gce_firewall_bodies(const char *project, const char *network,
                           const struct provider_launch *l,
                           const char *tag) SC_MUST_CHECK;
/* The network tag of an instance, and the first part of its firewalls' names.
 */
void gce_tag_of(const char *instance, char ret[64]);
int gce_instance_of(const cJSON *item, struct provider_instance *ret);
/* ZONE and NAME of an id. */
int gce_id_split(const char *id, char ret_zone[64], char ret_name[64],
                 struct sc_err *err) SC_MUST_CHECK;
int gce_list(struct provider *up, const char *region, provider_each_fn *fn,
             void *arg, struct sc_err *err);
int gce_terminate(struct provider *up, const char *region, const char *id,
                  struct sc_err *err);
int gce_fence(struct provider *up, const char *region, const char *id,
              struct sc_err *err);
int gce_console(struct provider *up, const char *region, const char *id,
                char **ret, size_t *ret_size, struct sc_err *err);
/* Firewalls made for 'instance' (NULL: any) of 'cluster' (NULL: any). */
int gce_firewalls(struct p_gce *p, const char *instance, const char *cluster,
                  gce_each_fn *fn, void *arg, struct sc_err *err) SC_MUST_CHECK;
int gce_firewalls_remove(struct p_gce *p, const char *instance,
                         struct sc_err *err) SC_MUST_CHECK;
int gce_leftovers(struct provider *up, const char *cluster,
                  provider_each_resource_fn *fn, void *arg, struct sc_err *err);
int gce_remove(struct provider *up, const char *kind, const char *region,
               const char *id, struct sc_err *err);
int gce_types(struct provider *up, const char *region,
              provider_each_type_fn *fn, void *arg, struct sc_err *err);
/* Names of the zones of 'region' that are up, at least one. */
int gce_zones(struct p_gce *p, const char *region, cJSON **ret,
              struct sc_err *err) SC_MUST_CHECK;
/* By the type's name: can it have VT-x inside; does our Xen run there. */
bool gce_nested(const char *type);
bool gce_xen(const char *type);
int gce_prices(struct provider *up, const char *region, const char *type,
               provider_each_price_fn *fn, void *arg, struct sc_err *err);

/* One line of the price catalog that says something about instances. */
struct gce_sku {
    char family[16]; /* "n2", "" for traffic */
    enum {
        GCE_SKU_NONE,
        GCE_SKU_CORE,
        GCE_SKU_RAM,
        GCE_SKU_INTERNET,
        GCE_SKU_REGION
    } what;
    bool spot;
    double amount; /* USD per core or GiB an hour, or per GiB of traffic. */
    uint64_t at;
};
/* Reads 'sku' (pure); 'what' is GCE_SKU_NONE if it is of no use in 'region'. */
struct gce_sku gce_sku_read(const cJSON *sku, const char *region);
/* What part of its vCPUs a type pays for (shared core types: less than 1); 0:
 * its price is not made of cores and memory alone. */
double gce_core_share(const char *type);

#endif

/* p_openstack - what the files of the OpenStack driver, and the driver of
 * Rackspace's classic cloud, share.
 *
 * Used by p_openstack*.c and p_rackspace_classic*.c alone.  The layers, each
 * in its file: auth (tokens and the catalog), call (one request and its
 * errors), list (pages, things made once, waiting), image, server, launch, net
 * (Neutron), volume (Cinder), left, console.  Blocks; not thread-safe.
 *
 * What is made is ours by: metadata (servers, volumes) and properties (images)
 * supercloud_cluster and supercloud_token; where Neutron has room for text
 * alone, a description "supercloud cluster=C token=T".
 * Units: ms, bytes; times are ms since 1970. */
#ifndef SC_PROVIDER_P_OPENSTACK_H
#define SC_PROVIDER_P_OPENSTACK_H

#include "common/json.h"
#include "provider/provider-class.h"
#include "provider/web.h"

enum {
    OS_BOOT_MS = 15 * 60000, /* A server, from asked for to ACTIVE. */
    OS_STOP_MS = 5 * 60000,
    OS_GONE_MS = 5 * 60000,
    OS_IMAGE_MS = 20 * 60000, /* An image, from uploaded to active. */
    OS_UUID_MAX = 128,
};

struct os_endpoint {
    char *type, *region, *interface, *url; /* 'url' without '/' at its end. */
};

struct openstack {
    struct provider up; /* Must be first. */
    struct web *web;
    bool classic; /* Identity v2.0, no microversions, no Neutron. */
    /* The settings; NULL: not given. */
    char *auth_url, *username, *password, *app_id, *app_secret, *api_key;
    char *project, *user_domain, *project_domain, *region, *interface;
    char *network, *external_network, *flavor, *prices, *ca_file;
    char *container;
    unsigned retry_ms; /* The first pause of requests and of waiting. */
    /* The session; NULL before the first login. */
    char *token, *user_name, *project_id, *project_name;
    uint64_t renew_at; /* From then on a new token is fetched first. */
    struct os_endpoint *endpoints;
    size_t n_endpoints;
};

/* -- p_openstack.c: settings -------------------------------------------- */
int os_open(const struct provider_class *class, const cJSON *config,
            struct provider **ret, struct sc_err *err) SC_MUST_CHECK;
void os_close(struct provider *up);
int os_check(struct provider *up, char **ret, struct sc_err *err);
int os_regions(struct provider *up, provider_each_region_fn *fn, void *arg,
               struct sc_err *err);
/* The region to work in: 'asked', or the first of the settings', or the
 * catalog's first; borrowed.  -ENOENT with the regions there are. */
int os_region(struct openstack *o, const char *asked, const char **ret,
              struct sc_err *err) SC_MUST_CHECK;
/* Calls 'fn' for 'asked', or for each region of the settings (none there: of
 * the catalog). */
int os_each_region(struct openstack *o, const char *asked,
                   provider_each_region_fn *fn, void *arg,
                   struct sc_err *err) SC_MUST_CHECK;
int os_prices(struct provider *up, const char *region, const char *type,
              provider_each_price_fn *fn, void *arg, struct sc_err *err);
/* "2026-11-27T22:16:39Z" (fractions and +00:00 allowed) in ms; 0: not one. */
uint64_t os_time(const char *text);

/* -- p_openstack_auth.c -------------------------------------------------- */
/* A token that lasts a while yet; asks the identity service only if needed. */
int os_login(struct openstack *o, struct sc_err *err) SC_MUST_CHECK;
void os_forget_token(struct openstack *o);
/* The URL of 'type' ("compute", "image", "network", "volume",
 * "object-store") in 'region', borrowed; NULL: the cloud has none. */
const char *os_endpoint(const struct openstack *o, const char *type,
                        const char *region);

/* -- p_openstack_call.c -------------------------------------------------- */
struct os_call {
    const char *region, *service;
    const char *method, *path; /* What follows the endpoint's URL. */
    const cJSON *body;         /* NULL: none. */
    const char *type;          /* Content-Type; NULL: application/json. */
    bool once;                 /* As web_request's. */
    long (*read)(void *arg, uint64_t at, void *buf, size_t size);
    uint64_t read_size;
    void *arg;                        /* Of 'read'. */
    const struct web_header *headers; /* More of them; at most 4. */
    size_t n_headers;
};
struct os_answer {
    struct web_answer web;
    cJSON *json; /* NULL: the body was none. */
};
void os_answer_clear(struct os_answer *a);
/* 0 after a 2xx.  Else -errno with the cloud's own words, its request id and
 * what to do; '*ret' (may be NULL) is filled only on 0. */
int os_call(struct openstack *o, const struct os_call *c, struct os_answer *ret,
            struct sc_err *err) SC_MUST_CHECK;
/* -errno for a reason in the cloud's words: -EDQUOT, -ENOSPC, else 'status'
 * as web_status_code has it, but -ENOTSUP for 501; and what to do about it, ""
 * or ": …". */
int os_reason(const char *words, long status);
const char *os_advice(int code, long status);
/* GET, POST and the like with a formatted path. */
int os_get(struct openstack *o, const char *region, const char *service,
           struct os_answer *ret, struct sc_err *err, const char *path, ...)
    SC_PRINTF(6, 7) SC_MUST_CHECK;
/* DELETE; what is not there is 0. */
int os_delete(struct openstack *o, const char *region, const char *service,
              struct sc_err *err, const char *path, ...)
    SC_PRINTF(5, 6) SC_MUST_CHECK;
/* POST of 'body' (taken); see os_call. */
int os_post(struct openstack *o, const char *region, const char *service,
            const char *path, cJSON *body, struct os_answer *ret,
            struct sc_err *err) SC_MUST_CHECK;

/* -- p_openstack_list.c -------------------------------------------------- */
/* Calls 'fn' for each object of the array 'key', over all pages, until it
 * returns non-0, which is returned.  'path' may have a query. */
typedef int os_item_fn(void *arg, const cJSON *item);
int os_list(struct openstack *o, const char *region, const char *service,
            const char *path, const char *key, os_item_fn *fn, void *arg,
            struct sc_err *err) SC_MUST_CHECK;
/* Makes one thing exactly once though POST is not repeatable: looks with
 * 'find' (0: '*ret' is its id; -ENOENT: none), else posts, and when what became
 * of a POST is not known, looks again. 'body' is {key: {...}}; '*ret' malloc'd.
 */
struct os_make {
    const char *region, *service, *path, *key;
    const cJSON *body;
    int (*find)(void *arg, char **ret, struct sc_err *err);
    void *arg;
};
int os_make(struct openstack *o, const struct os_make *m, char **ret,
            struct sc_err *err) SC_MUST_CHECK;
bool os_unknown_outcome(int code); /* It may or may not have happened. */
/* A pause between two looks, '*ms' of it, which grows from 0 (begin with it) to
 * 5 s; -ECANCELED, or -ETIMEDOUT when the clock is past 'end'. */
int os_pause(struct openstack *o, unsigned *ms, uint64_t end, const char *what,
             struct sc_err *err) SC_MUST_CHECK;
uint64_t os_clock(void); /* Monotonic. */

/* Text at 'key' of 'object', "" if there is none; borrowed. */
const char *os_str(const cJSON *object, const char *key);
double os_num(const cJSON *object, const char *key);
bool os_is_id(const char *text); /* A UUID, with dashes or without. */

/* -- Tags ------------------------------------------------------------------ */
enum { OS_MARK_MAX = 192 };
void os_mark(const struct provider_tags *t, char ret[OS_MARK_MAX]);
/* The tags in a description; false: not ours. */
bool os_mark_read(const char *text, char ret_cluster[64], char ret_token[64]);
void os_add_tags(cJSON *o, const struct provider_tags *t);
bool os_has_tags(const cJSON *o, const struct provider_tags *t);

/* -- p_openstack_image.c ----------------------------------------------------
 */
int os_publish(struct provider *up, const struct provider_publish *q,
               struct provider_image *ret, struct sc_err *err);
/* An active image by id, or by a name that only one has.  '*ret_gib': the disk
 * it needs. */
int os_image_find(struct openstack *o, const char *region, const char *wanted,
                  char **ret, unsigned *ret_gib,
                  struct sc_err *err) SC_MUST_CHECK;
/* 'ret' of image 'id'. */
int os_image_done(const struct provider_publish *q, const char *region,
                  const char *id, struct provider_image *ret,
                  struct sc_err *err) SC_MUST_CHECK;
/* Calls 'fn' for each image with the cluster's tag. */
int os_image_each(struct openstack *o, const char *region, const char *cluster,
                  provider_each_resource_fn *fn, void *arg,
                  struct sc_err *err) SC_MUST_CHECK;

/* -- p_openstack_server.c ----------------------------------------------------
 */
int os_server_list(struct provider *up, const char *region,
                   provider_each_fn *fn, void *arg, struct sc_err *err);
int os_terminate(struct provider *up, const char *region, const char *id,
                 struct sc_err *err);
int os_fence(struct provider *up, const char *region, const char *id,
             struct sc_err *err);
int os_console(struct provider *up, const char *region, const char *id,
               char **ret, size_t *ret_size, struct sc_err *err);
int os_types(struct provider *up, const char *region, provider_each_type_fn *fn,
             void *arg, struct sc_err *err);
/* Ends server 'id' and waits until it is gone; not there: 0. */
int os_server_delete(struct openstack *o, const char *region, const char *id,
                     struct sc_err *err) SC_MUST_CHECK;
/* Of the server 's' as Nova tells it; 'type' is the flavor's name. */
int os_server_read(const cJSON *s, const char *region, const char *type,
                   struct provider_instance *ret) SC_MUST_CHECK;

/* -- p_openstack_launch.c -----------------------------------------------------
 */
int os_launch(struct provider *up, const struct provider_launch *l,
              struct provider_instance *ret, struct sc_err *err);

/* -- p_openstack_net.c: does nothing where the cloud has no Neutron
 * ------------ */
int os_group_make(struct openstack *o, const char *region,
                  const struct provider_launch *l, char **ret,
                  struct sc_err *err) SC_MUST_CHECK;
int os_network_find(struct openstack *o, const char *region, const char *wanted,
                    char **ret, struct sc_err *err) SC_MUST_CHECK;
/* A floating address of 'external_network' for 'server'; '*ret' is it, or NULL
 * if none is wanted. */
int os_address_make(struct openstack *o, const char *region,
                    const struct provider_tags *t, const char *server,
                    char **ret, struct sc_err *err) SC_MUST_CHECK;
/* Calls 'fn' for each security group ("security-group") and floating address
 * ("floating-ip") with our mark. */
int os_net_each(struct openstack *o, const char *region,
                provider_each_resource_fn *fn, void *arg,
                struct sc_err *err) SC_MUST_CHECK;
/* Removes what of these has the tags. */
int os_net_remove(struct openstack *o, const char *region,
                  const struct provider_tags *t,
                  struct sc_err *err) SC_MUST_CHECK;
int os_group_delete(struct openstack *o, const char *region, const char *id,
                    struct sc_err *err) SC_MUST_CHECK;

/* -- p_openstack_volume.c: likewise without Cinder ---------------------------
 */
/* A volume of 'gib' with a copy of the image, ready to boot from. */
int os_volume_make(struct openstack *o, const char *region,
                   const struct provider_launch *l, const char *image,
                   unsigned gib, char **ret, struct sc_err *err) SC_MUST_CHECK;
int os_volume_each(struct openstack *o, const char *region,
                   provider_each_resource_fn *fn, void *arg,
                   struct sc_err *err) SC_MUST_CHECK;
int os_volume_remove(struct openstack *o, const char *region,
                     const struct provider_tags *t,
                     struct sc_err *err) SC_MUST_CHECK;
int os_volume_delete(struct openstack *o, const char *region, const char *id,
                     struct sc_err *err) SC_MUST_CHECK;

/* -- p_openstack_left.c
 * -------------------------------------------------------- */
int os_leftovers(struct provider *up, const char *cluster,
                 provider_each_resource_fn *fn, void *arg, struct sc_err *err);
int os_remove(struct provider *up, const char *kind, const char *region,
              const char *id, struct sc_err *err);

#endif

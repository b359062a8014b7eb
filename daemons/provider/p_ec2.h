/* p_ec2 - what the files of the EC2 driver share.
 *
 * p_ec2.c           the class: settings, check, regions
 * p_ec2_call.c      signed requests (query with XML, REST with JSON), errors
 * p_ec2_put.c       blocks on their way to a snapshot, several at once
 * p_ec2_publish.c   an image: snapshot by the EBS direct APIs, RegisterImage
 * p_ec2_launch.c    an instance and its security group
 * p_ec2_instances.c list, terminate, fence, console, types
 * p_ec2_prices.c    spot and on demand, traffic
 * p_ec2_gc.c        what is left, by our tags
 * Everything of ours has the tags supercloud:cluster, supercloud:token and
 * Name.  Errors are provider.h's.  Source: EC2 API 2016-11-15, EBS direct APIs
 * 2019-11-02, STS 2011-06-15, Price List 2017-10-15. */
#ifndef SC_PROVIDER_P_EC2_H
#define SC_PROVIDER_P_EC2_H

#include "provider/provider-class.h"
#include "provider/web.h"
#include "provider/xml.h"

enum ec2_service { EC2_EC2, EC2_EBS, EC2_STS, EC2_PRICING, EC2_N_SERVICES };

struct p_ec2 {
    struct provider up; /* Must be first. */
    struct web *web;
    char *ca_file; /* NULL: the system's authorities. */
    char *access_key_id, *secret, *session_token; /* The last may be NULL. */
    char *endpoint[EC2_N_SERVICES]; /* NULL: Amazon's; may hold "{region}". */
    char **regions;                 /* At least one. */
    size_t n_regions;
    unsigned retry_ms;
    long clock_offset; /* s: the provider's clock less ours. */
    char refusal[80];  /* The provider's code of the last refusal; "". */
};

#define EC2_TAG_CLUSTER "supercloud:cluster"
#define EC2_TAG_TOKEN "supercloud:token"
#define EC2_TAG_SHA256 "supercloud:sha256"

/* --- requests: p_ec2_call.c ------------------------------------------------*/

/* A query's parameters; memory errors stick and come out of ec2_call. */
struct ec2_form {
    char *text;
    size_t len;
    bool failed;
};
void ec2_form_free(struct ec2_form *f);
static inline void ec2_form_free_p(struct ec2_form *f)
{
    ec2_form_free(f);
}
/* Adds NAME=value; the name is formatted.  NULL adds nothing. */
void ec2_add(struct ec2_form *f, const char *value, const char *name, ...)
    SC_PRINTF(3, 4);
void ec2_addu(struct ec2_form *f, uint64_t value, const char *name);
/* Filter.N, one value. */
void ec2_add_filter(struct ec2_form *f, unsigned n, const char *name,
                    const char *value);
/* TagSpecification.N for a resource type with our tags; 'sha256' may be NULL.
 */
void ec2_add_tags(struct ec2_form *f, unsigned n, const char *type,
                  const char *name, const struct provider_tags *tags,
                  const char *sha256);

/* One action of EC2 or STS; safe to repeat, or made so by the caller.  '*ret'
 * (NULL allowed) is the answer's root.  After a refusal p->refusal holds the
 * provider's code. */
int ec2_call(struct p_ec2 *p, enum ec2_service service, const char *region,
             const char *action, const struct ec2_form *f, struct xml **ret,
             struct sc_err *err) SC_MUST_CHECK;
/* All pages of an EC2 action: 'fn' for each child of the node at 'path', until
 * it returns non-0, which is returned. */
typedef int ec2_item_fn(void *arg, const struct xml_node *item);
int ec2_each(struct p_ec2 *p, const char *region, const char *action,
             const struct ec2_form *f, const char *path, ec2_item_fn *fn,
             void *arg, struct sc_err *err) SC_MUST_CHECK;
/* A request of a JSON service; 'q' without url, sign and again.  'action' is
 * for people and permissions. */
int ec2_json(struct p_ec2 *p, enum ec2_service service, const char *region,
             const char *action, const char *path, struct web_request q,
             bool body_unsigned, cJSON **ret, struct sc_err *err) SC_MUST_CHECK;
/* A fresh p->web by p's settings; the old one is not freed. */
int ec2_new_web(struct p_ec2 *p, struct sc_err *err) SC_MUST_CHECK;
bool ec2_refused(const struct p_ec2 *p, const char *code); /* The last. */

/* The endpoint of a service in a region, with 'path'; malloc'd, NULL: out of
 * memory. */
char *ec2_url(const struct p_ec2 *p, enum ec2_service service,
              const char *region, const char *path) SC_MUST_CHECK;

/* A pause before look 'n' (0, 1 ...) at something that takes its time: from
 * retry_ms to 10 s.  -ECANCELED. */
int ec2_pause(struct p_ec2 *p, unsigned n, struct sc_err *err) SC_MUST_CHECK;
/* 'region', or the first of the settings. */
const char *ec2_region(const struct p_ec2 *p, const char *region);
/* "2026-11-27T22:00:00.000Z" as ms; 0 if it is not a time. */
uint64_t ec2_time(const char *text);
/* The value of a tag in a tagSet's node; "" if it has none. */
const char *ec2_tag(const struct xml_node *item, const char *key);

/* --- the calls -------------------------------------------------------------*/
int ec2_publish(struct provider *up, const struct provider_publish *q,
                struct provider_image *ret, struct sc_err *err);
int ec2_launch(struct provider *up, const struct provider_launch *l,
               struct provider_instance *ret, struct sc_err *err);
int ec2_list(struct provider *up, const char *region, provider_each_fn *fn,
             void *arg, struct sc_err *err);
int ec2_terminate(struct provider *up, const char *region, const char *id,
                  struct sc_err *err);
int ec2_fence(struct provider *up, const char *region, const char *id,
              struct sc_err *err);
int ec2_console(struct provider *up, const char *region, const char *id,
                char **ret, size_t *ret_size, struct sc_err *err);
int ec2_types(struct provider *up, const char *region,
              provider_each_type_fn *fn, void *arg, struct sc_err *err);
int ec2_prices(struct provider *up, const char *region, const char *type,
               provider_each_price_fn *fn, void *arg, struct sc_err *err);
int ec2_leftovers(struct provider *up, const char *cluster,
                  provider_each_resource_fn *fn, void *arg, struct sc_err *err);
int ec2_remove(struct provider *up, const char *kind, const char *region,
               const char *id, struct sc_err *err);

/* The instance 'id' as it is now; -ENOENT. */
int ec2_find_instance(struct p_ec2 *p, const char *region, const char *id,
                      struct provider_instance *ret,
                      struct sc_err *err) SC_MUST_CHECK;
/* From an item of DescribeInstances; -ENOMEM. */
int ec2_read_instance(const struct p_ec2 *p, const char *region,
                      const struct xml_node *item,
                      struct provider_instance *ret);
/* Removes, after a failure, the 'known' (NULL ids are skipped; a search by tag
 * may not see them yet) and all of the call's kinds that has both tags in
 * 'region': what cannot be removed is named at the end of 'err', which is
 * filled already. */
struct ec2_known {
    const char *kind, *id;
};
enum ec2_made { EC2_MADE_IMAGE = 1, EC2_MADE_INSTANCE = 2 };
void ec2_undo(struct p_ec2 *p, const char *region, enum ec2_made by,
              const struct provider_tags *tags, const struct ec2_known *known,
              size_t n_known, struct sc_err *err);
/* Removes the security groups of ours that have both tags, unless an instance
 * that is not ended has them too: the last one's end removes them. */
int ec2_remove_groups(struct p_ec2 *p, const char *region,
                      const struct provider_tags *tags,
                      struct sc_err *err) SC_MUST_CHECK;

#endif

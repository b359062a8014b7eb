/* gc - what at a provider bears this Supercloud's name and nobody needs.
 *
 * Used by sc-controller (provider.gc).  Pure: the answer depends on the
 * arguments alone.  Strings are borrowed.
 * A token is what an operation tagged its things with: the id of its job, and
 * for one of many instances "-" and its number. */
#ifndef SC_CONTROLLER_GC_H
#define SC_CONTROLLER_GC_H

#include <cjson/cJSON.h>
#include <stddef.h>

struct gc_image { /* Published, or on its way to or from that. */
    const char *id, *token;
};
struct gc_instance { /* Launched and not ended. */
    const char *id, *token;
};
struct gc_known {
    const struct gc_image *images;
    size_t n_images;
    const struct gc_instance *instances;
    size_t n_instances;
    const char *const *jobs; /* Ids of those that run. */
    size_t n_jobs;
    const char *const *nodes; /* Names of those that are up. */
    size_t n_nodes;
};

/* Why RESOURCE 'r' (docs/protocols/provider.md) can go; NULL: it is needed. */
const char *gc_why(const struct gc_known *k, const cJSON *r);
/* Of the array 'resources' those that can go, each with "why", in the order
 * they are to be removed: users before what they use.  NULL: out of memory. */
cJSON *gc_decide(const struct gc_known *k, const cJSON *resources);
/* Puts them into that order. */
void gc_sort(cJSON *resources);

#endif

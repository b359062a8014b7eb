#include "controller/gc.h"

#include "common/json.h"

#include <stdbool.h>
#include <string.h>

enum { JOB_ID_LEN = 36, RANK_UNKNOWN = 5 };

static const char *text(const cJSON *r, const char *key)
{
    const char *s =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r, key));
    return s ? s : "";
}

/* Smaller goes first. */
static int rank(const cJSON *r)
{
    static const struct {
        const char *kind;
        int rank;
    } ranks[] = {
        { "instance", 0 },
        { "vm", 0 },
        { "nic", 1 },
        { "port", 1 },
        { "address", 2 },
        { "public-ip", 2 },
        { "disk", 3 },
        { "volume", 3 },
        { "image", 4 },
        { "image-version", 4 },
        { "snapshot", 5 },
        { "object", 6 },
        { "upload", 6 },
        { "firewall", 7 },
        { "security-group", 7 },
        { "keypair", 7 },
        { "subnet", 8 },
        { "network", 8 },
        { "bucket", 9 },
        { "gallery", 9 },
        { "container", 9 },
        { "resource-group", 10 },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(ranks); i++) {
        if (!strcmp(ranks[i].kind, text(r, "kind")))
            return ranks[i].rank;
    }
    return RANK_UNKNOWN;
}

/* What an image needs only while it is made. */
static bool is_scaffold(const char *kind)
{
    static const char *const kinds[] = { "object", "upload", "disk", "volume",
                                         "instance" };
    for (size_t i = 0; i < SC_ARRAY_LEN(kinds); i++) {
        if (!strcmp(kinds[i], kind))
            return true;
    }
    return false;
}

static bool is_shared(const char *kind)
{
    static const char *const kinds[] = {
        "firewall", "security-group", "keypair",   "subnet",        "network",
        "bucket",   "gallery",        "container", "resource-group"
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(kinds); i++) {
        if (!strcmp(kinds[i], kind))
            return true;
    }
    return false;
}

static bool is_of_job(const char *token, const char *job)
{
    return !strncmp(token, job, JOB_ID_LEN) &&
           (!token[JOB_ID_LEN] || token[JOB_ID_LEN] == '-');
}

const char *gc_why(const struct gc_known *k, const cJSON *r)
{
    const char *kind = text(r, "kind"), *id = text(r, "id"),
               *token = text(r, "token");
    bool instance = !strcmp(kind, "instance");
    for (size_t i = 0; i < k->n_jobs; i++) {
        if (strlen(token) >= JOB_ID_LEN && is_of_job(token, k->jobs[i]))
            return NULL;
    }
    for (size_t i = 0; i < k->n_images; i++) {
        if (!instance && k->images[i].id[0] && !strcmp(k->images[i].id, id))
            return NULL;
        if (token[0] && !strcmp(k->images[i].token, token))
            return is_scaffold(kind) ? "left over from making an image that "
                                       "is ready"
                                     : NULL;
    }
    for (size_t i = 0; i < k->n_instances; i++) {
        if ((instance && !strcmp(k->instances[i].id, id)) ||
            (token[0] && !strcmp(k->instances[i].token, token)))
            return NULL;
    }
    for (size_t i = 0; instance && i < k->n_nodes; i++) {
        if (!strcmp(k->nodes[i], text(r, "name")))
            return NULL;
    }
    if (!token[0] && is_shared(kind))
        return k->n_images || k->n_instances || k->n_jobs
                   ? NULL
                   : "nothing of this Supercloud is left that uses it";
    return instance ? "no running job and no node is behind it"
                    : "no image, instance or running job needs it";
}

void gc_sort(cJSON *resources)
{
    /* A pass for each rank keeps the order of equals; the lists are short. */
    cJSON *sorted = NULL;
    int n = cJSON_GetArraySize(resources);
    if (n < 2 || !(sorted = cJSON_CreateArray()))
        return;
    for (int want = 0; resources->child && want <= 10; want++) {
        for (cJSON *r = resources->child, *next; r; r = next) {
            next = r->next;
            if (rank(r) == want)
                cJSON_AddItemToArray(sorted,
                                     cJSON_DetachItemViaPointer(resources, r));
        }
    }
    while (sorted->child)
        cJSON_AddItemToArray(resources,
                             cJSON_DetachItemViaPointer(sorted, sorted->child));
    cJSON_Delete(sorted);
}

/* An image may have been found there already when it was published (the same
 * file under the same name): what bears the token of its first making is its
 * too. */
static struct gc_image *images_with_tokens(const struct gc_known *k,
                                           const cJSON *resources, size_t *ret)
{
    size_t room = k->n_images + (size_t)cJSON_GetArraySize(resources) + 1;
    struct gc_image *list = calloc(room, sizeof *list);
    const cJSON *r;
    *ret = 0;
    for (size_t i = 0; list && i < k->n_images; i++)
        list[(*ret)++] = k->images[i];
    cJSON_ArrayForEach(r, resources)
    {
        for (size_t i = 0; list && i < k->n_images; i++) {
            if (!strcmp(text(r, "kind"), "image") && k->images[i].id[0] &&
                !strcmp(k->images[i].id, text(r, "id")))
                list[(*ret)++] =
                    (struct gc_image){ k->images[i].id, text(r, "token") };
        }
    }
    return list;
}

cJSON *gc_decide(const struct gc_known *known, const cJSON *resources)
{
    struct gc_known k = *known;
    SC_AUTO(free)
    struct gc_image *images = images_with_tokens(known, resources, &k.n_images);
    SC_AUTO(cjson_free) cJSON *list = images ? cJSON_CreateArray() : NULL;
    const cJSON *r;
    k.images = images;
    cJSON_ArrayForEach(r, resources)
    {
        const char *why = list ? gc_why(&k, r) : NULL;
        cJSON *copy = why ? cJSON_Duplicate(r, true) : NULL;
        if (!copy)
            continue;
        cJSON_AddStringToObject(copy, "why", why);
        cJSON_AddItemToArray(list, copy);
    }
    if (list)
        gc_sort(list);
    return SC_TAKE(list);
}

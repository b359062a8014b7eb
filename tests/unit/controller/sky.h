/* sky - a cloud for the world: what sc-provider would do there, in memory.
 *
 * It outlives the controller.  Whatever it makes has a token, and a call asked
 * for again with the same token makes nothing twice.  Images take two steps
 * (snapshot, then image); a run that dies between them leaves a snapshot.
 * A test makes it fail: sky->fail_call, fail_code, fail_times. */
#ifndef TEST_CONTROLLER_SKY_H
#define TEST_CONTROLLER_SKY_H

#include "world.h"

#include "common/tls.h"
#include "controller/providers.h"

#include <ftw.h>

enum { SKY_THINGS = 64 };
#define SKY_SECRET "wJalrXUtnFEMI-the-secret-key"

struct sky_thing {
    char kind[16], id[64], name[64], token[64];
    char user_data[2048];
};
struct sky {
    struct sky_thing things[SKY_THINGS];
    size_t n;
    unsigned n_made, n_calls;
    char fail_call[16];
    int fail_code;
    unsigned fail_times;
    bool half; /* The failing call has done its work. */
    char dir[64], pki[80], spool[80];
};

static inline struct sky *sky_of(struct world *w)
{
    return w->cloud_data;
}

static inline struct sky_thing *sky_by_token(struct sky *s, const char *kind,
                                             const char *token)
{
    for (size_t i = 0; i < s->n; i++) {
        if (!strcmp(s->things[i].kind, kind) &&
            !strcmp(s->things[i].token, token))
            return &s->things[i];
    }
    return NULL;
}

static inline struct sky_thing *sky_make(struct sky *s, const char *kind,
                                         const char *name, const char *token)
{
    struct sky_thing *t = sky_by_token(s, kind, token);
    if (t && token[0])
        return t;
    cr_assert_lt(s->n, (size_t)SKY_THINGS);
    t = &s->things[s->n++];
    *t = (struct sky_thing){ 0 };
    snprintf(t->kind, sizeof t->kind, "%s", kind);
    snprintf(t->id, sizeof t->id, "%.3s-%u", kind, ++s->n_made);
    snprintf(t->name, sizeof t->name, "%s", name);
    snprintf(t->token, sizeof t->token, "%s", token);
    return t;
}

static inline bool sky_remove(struct sky *s, const char *id)
{
    for (size_t i = 0; i < s->n; i++) {
        if (!strcmp(s->things[i].id, id)) {
            s->things[i] = s->things[--s->n];
            return true;
        }
    }
    return false;
}

static inline unsigned sky_count(const struct sky *s, const char *kind)
{
    unsigned n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += !strcmp(s->things[i].kind, kind);
    return n;
}

static inline cJSON *sky_instance(struct world *w, const struct sky_thing *t)
{
    cJSON *j = cJSON_CreateObject();
    static const char *const empty[] = {
        "zone", "type", "image", "address", "private_address", "console"
    };
    cJSON_AddStringToObject(j, "id", t->id);
    cJSON_AddStringToObject(j, "name", t->name);
    cJSON_AddStringToObject(j, "region", "r1");
    for (size_t i = 0; i < SC_ARRAY_LEN(empty); i++)
        cJSON_AddStringToObject(j, empty[i], "");
    cJSON_AddStringToObject(j, "state", "running");
    cJSON_AddFalseToObject(j, "spot");
    cJSON_AddStringToObject(j, "cluster", w->ctl->cluster_id);
    cJSON_AddStringToObject(j, "token", t->token);
    json_set_u64(j, "created_at", w->now);
    return j;
}

static inline cJSON *sky_resources(struct world *w, const char *only)
{
    struct sky *s = sky_of(w);
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < s->n; i++) {
        const struct sky_thing *t = &s->things[i];
        if (only && strcmp(only, t->kind) != 0)
            continue;
        cJSON *j = sky_instance(w, t);
        if (!only) {
            cJSON_AddStringToObject(j, "kind", t->kind);
            cJSON_AddStringToObject(j, "detail", "");
        }
        cJSON_AddItemToArray(list, j);
    }
    return list;
}

static inline cJSON *sky_drivers(void)
{
    return cJSON_Parse(
        "[{\"name\":\"sky\",\"about\":\"a test's cloud\",\"fields\":["
        "{\"name\":\"region\",\"about\":\"where\",\"required\":true,\"secret\":"
        "false},{\"name\":\"key\",\"about\":\"the key\",\"required\":true,"
        "\"secret\":true},{\"name\":\"url\",\"about\":\"elsewhere\","
        "\"required\":false,\"secret\":false}],\"user_data_max\":2000,"
        "\"image_format\":\"raw\",\"permissions\":\"\"}]");
}

static inline cJSON *sky_wrap(const char *key, cJSON *value)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddItemToObject(j, key, value);
    return j;
}

static inline void sky_publish(struct world *w, struct wevent *e,
                               const cJSON *args, const char *token)
{
    struct sky *s = sky_of(w);
    const cJSON *resume = cJSON_GetObjectItem(e->json, "resume");
    if (!e->method[0]) { /* The first half. */
        cr_assert(access(wstr(args, "file"), R_OK) == 0, "no file");
        struct sky_thing *t =
            sky_make(s, "snapshot", wstr(args, "name"), token);
        if (resume)
            cr_expect_str_eq(wstr(resume, "snapshot"), t->id);
        world_say(w, e,
                  cJSON_Parse("{\"progress\":{\"stage\":\"upload\",\"done\":"
                              "2097152,\"total\":4194304}}"));
        cJSON *state = cJSON_CreateObject();
        cJSON_AddStringToObject(state, "snapshot", t->id);
        world_say(w, e, sky_wrap("save", state));
        struct wevent next = *e;
        snprintf(next.method, sizeof next.method, "half");
        next.json = cJSON_Duplicate(e->json, true);
        world_post(w, next);
        return;
    }
    struct sky_thing *t = sky_make(s, "image", wstr(args, "name"), token);
    cJSON *image = cJSON_CreateObject();
    cJSON_AddStringToObject(image, "id", t->id);
    cJSON_AddStringToObject(image, "name", t->name);
    cJSON_AddStringToObject(image, "region", "r1");
    world_answer(w, e, sky_wrap("image", image), 0, NULL);
}

static inline void sky_launch(struct world *w, struct wevent *e,
                              const cJSON *args, const char *token)
{
    struct sky_thing *t =
        sky_make(sky_of(w), "instance", wstr(args, "name"), token);
    if (t->user_data[0])
        cr_expect_str_eq(t->user_data, wstr(args, "user_data"),
                         "asked for again, it is the same");
    snprintf(t->user_data, sizeof t->user_data, "%s", wstr(args, "user_data"));
    world_answer(w, e, sky_wrap("instance", sky_instance(w, t)), 0, NULL);
}

/* world->cloud */
static inline void sky_call(struct world *w, struct wevent *e)
{
    struct sky *s = sky_of(w);
    const char *call = e->json ? wstr(e->json, "call") : "drivers";
    const cJSON *args = cJSON_GetObjectItem(e->json, "args");
    const cJSON *config = cJSON_GetObjectItem(e->json, "config");
    const cJSON *tags = cJSON_GetObjectItem(e->json, "tags");
    const char *token = wstr(tags, "token");
    s->n_calls++;
    if (e->json)
        cr_expect_str_eq(wstr(tags, "cluster"), w->ctl->cluster_id);
    if (!strcmp(call, s->fail_call) && s->fail_times && !e->method[0]) {
        s->fail_times--;
        if (s->half && !strcmp(call, "launch"))
            sky_make(s, "instance", wstr(args, "name"), token);
        if (s->half && !strcmp(call, "publish"))
            sky_make(s, "snapshot", wstr(args, "name"), token);
        world_answer(w, e, NULL, s->fail_code, "the cloud says no");
    } else if (!e->json) {
        world_answer(w, e, sky_drivers(), 0, NULL);
    } else if (strcmp(wstr(config, "key"), SKY_SECRET) != 0) {
        world_answer(w, e, NULL, -EACCES, "sky: the key is wrong");
    } else if (!strcmp(call, "check")) {
        world_answer(w, e, sky_wrap("identity", cJSON_CreateString("me")), 0,
                     NULL);
    } else if (!strcmp(call, "publish")) {
        sky_publish(w, e, args, token);
    } else if (!strcmp(call, "launch")) {
        sky_launch(w, e, args, token);
    } else if (!strcmp(call, "list")) {
        world_answer(w, e, sky_wrap("instances", sky_resources(w, "instance")),
                     0, NULL);
    } else if (!strcmp(call, "leftovers")) {
        world_answer(w, e, sky_wrap("resources", sky_resources(w, NULL)), 0,
                     NULL);
    } else if (!strcmp(call, "remove") || !strcmp(call, "terminate")) {
        sky_remove(s, wstr(args, "id"));
        world_answer(w, e, NULL, 0, NULL);
    } else if (!strcmp(call, "regions")) {
        world_answer(w, e, cJSON_Parse("{\"regions\":[\"r1\"]}"), 0, NULL);
    } else {
        world_answer(w, e, NULL, 0, NULL);
    }
}

static inline void sky_fail(struct world *w, const char *call, int code,
                            unsigned times, bool half)
{
    struct sky *s = sky_of(w);
    snprintf(s->fail_call, sizeof s->fail_call, "%s", call);
    s->fail_code = code;
    s->fail_times = times;
    s->half = half;
}

/* A world with a sky and a folder for keys and uploads. */
static inline struct world *sky_world(void)
{
    struct sky *s = calloc(1, sizeof *s);
    struct sc_err err;
    char ca[128], key[128];
    snprintf(s->dir, sizeof s->dir, "/tmp/sc-sky-XXXXXX");
    cr_assert(mkdtemp(s->dir));
    snprintf(s->pki, sizeof s->pki, "%s/pki", s->dir);
    snprintf(s->spool, sizeof s->spool, "%s/spool", s->dir);
    cr_assert(mkdir(s->pki, 0700) == 0 && mkdir(s->spool, 0700) == 0);
    snprintf(ca, sizeof ca, "%s/ca.crt", s->pki);
    snprintf(key, sizeof key, "%s/ca.key", s->pki);
    cr_assert_eq(tls_ca_create(ca, key, "test", &err), 0, "%s", err.text);
    struct world *w = world_new_in(s->pki, s->spool);
    w->cloud = sky_call;
    w->cloud_data = s;
    return w;
}

static inline int sky_unlink(const char *path, const struct stat *st, int type,
                             struct FTW *f)
{
    (void)st, (void)type, (void)f;
    return remove(path);
}

static inline void sky_free(struct world *w)
{
    struct sky *s = sky_of(w);
    world_free(w);
    nftw(s->dir, sky_unlink, 8, FTW_DEPTH | FTW_PHYS);
    free(s);
}
SC_CLEANUP(struct world, sky_free)

static inline void sky_add_account(struct world *w)
{
    cr_assert_eq(world_op(w, "provider.create",
                          "{\"name\":\"acc\",\"driver\":\"sky\",\"config\":{"
                          "\"region\":\"r1\"},\"secret\":{\"key\":\"%s\"}}",
                          SKY_SECRET),
                 0, "%s", w->op_err.text);
}

/* A file of 4 bytes as the console's spool leaves it; its path. */
static inline const char *sky_upload(struct world *w, char path[128])
{
    snprintf(path, 128, "%s/upload-abcdef.part", w->spool_dir);
    FILE *f = fopen(path, "w");
    cr_assert(f && fputs("disk", f) >= 0);
    fclose(f);
    return path;
}

#define SKY_DIGEST                                                             \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Registers image 'name' and uploads it: the job begins. */
static inline void sky_begin_publish(struct world *w, const char *name)
{
    char path[128];
    cr_assert_eq(world_op(w, "provider.image_create",
                          "{\"id\":\"acc\",\"name\":\"%s\",\"region\":\"r1\","
                          "\"format\":\"raw\",\"file\":\"disk.raw\",\"size\":"
                          "4,\"virtual_size\":4,\"sha256\":\"" SKY_DIGEST "\"}",
                          name),
                 0, "%s", w->op_err.text);
    cr_assert_eq(world_op(w, "provider.image_upload_begin",
                          "{\"id\":\"acc\",\"image\":\"%s\"}", name),
                 0, "%s", w->op_err.text);
    cr_assert_eq(world_op(w, "provider.image_upload",
                          "{\"id\":\"acc\",\"image\":\"%s\",\"path\":\"%s\","
                          "\"size\":4,\"sha256\":\"" SKY_DIGEST "\"}",
                          name, sky_upload(w, path)),
                 0, "%s", w->op_err.text);
}

/* The machine with 'name' that job 'job' launched joins. */
static inline void sky_join(struct world *w, const struct job *job,
                            const char *name)
{
    struct node n = { .nid = (uint16_t)w->ctl->next_nid++,
                      .state = NODE_JOINING };
    sc_uuid_new(n.id);
    OBJ_SET(n.name, name);
    OBJ_SET(n.region, "r1");
    OBJ_SET(n.provider, "sky");
    OBJ_SET(n.address, "10.9.9.9");
    OBJ_SET(n.token_id, job_str(job, "token_id"));
    struct ctl_txn *x = ctl_txn_begin(w->ctl);
    ctl_put_number(x, "next_nid", w->ctl->next_nid);
    ctl_node_add(w->ctl, x, &n);
    ctl_txn_commit(x, NULL);
}

/* How many things a dry run of gc would remove. */
static inline int sky_orphans(struct world *w)
{
    cr_assert_eq(world_op(w, "provider.gc", "{\"id\":\"acc\"}"), 0, "%s",
                 w->op_err.text);
    return cJSON_GetArraySize(cJSON_GetObjectItem(w->op_result, "resources"));
}

/* Everything the store holds, as text; for looking for what must not be there.
 */
static inline int sky_add_value(void *arg, struct store_slice key,
                                struct store_slice value)
{
    (void)key;
    fwrite(value.data, 1, value.size, arg);
    return 0;
}

static inline char *sky_store_text(struct world *w)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    struct store_txn *t;
    struct sc_err err;
    cr_assert_eq(store_begin(w->mem, false, &t, &err), 0);
    for (size_t i = 0; ctl_tables[i]; i++)
        store_each(t, ctl_tables[i], (struct store_slice){ "", 0 },
                   sky_add_value, f);
    store_abort(t);
    fclose(f);
    return text;
}

#endif

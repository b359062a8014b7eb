/* p_ec2_publish - an image from a raw file.
 *
 * StartSnapshot, PutSnapshotBlock for each block of 512 KiB that is not all
 * zeroes, CompleteSnapshot with the hash of their hashes, RegisterImage.  Every
 * step may be repeated: the snapshot by its client token, a block by its
 * index, the image by its name and our tags.  Blocks go several at once
 * (p_ec2_put.h).  What 'resume' holds: the
 * snapshot, the next block, how many snapshots this call has begun (a client
 * token answers with the same snapshot for ever, also with one that is gone).
 * The whole file is read again after a resume, for the hashes; only the rest is
 * sent. */
#include "provider/p_ec2_put.h"

#include "common/json.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <time.h>

enum {
    BLOCK = EC2_BLOCK,
    HASH = EC2_HASH,
    SAVE_MS = 250,  /* Between two saves of the next block. */
    STARTS_MAX = 3, /* Snapshots begun by one call. */
    LOOKS_FRESH = EC2_LOOKS_FRESH,
    LOOKS_SEALED = 8,    /* At one whose completion was refused. */
    LOOKS_MAX = 2000,    /* At one that is not finished yet. */
    IDLE_MINUTES = 1440, /* Then the provider drops an unfinished snapshot. */
};

struct upload {
    struct p_ec2 *p;
    const struct provider_publish *q;
    const char *region;
    int fd;
    uint64_t size;            /* bytes of the file */
    uint64_t n_blocks;        /* of the file */
    char *snapshot, *image;   /* Ids; NULL: not made. */
    bool registered;          /* 'image' is of this run. */
    unsigned starts;          /* Snapshots begun. */
    uint64_t next;            /* The first block not sent. */
    uint64_t saved_at;        /* ms */
    unsigned n_sent;          /* Blocks with data, sent now or before. */
    EVP_MD_CTX *all, *blocks; /* Of the file; of the blocks' hashes. */
};

static void upload_free(struct upload *u)
{
    if (u->fd >= 0)
        close(u->fd);
    free(u->snapshot);
    free(u->image);
    EVP_MD_CTX_free(u->all);
    EVP_MD_CTX_free(u->blocks);
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void save(struct upload *u)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    if (u->snapshot)
        cJSON_AddStringToObject(o, "snapshot", u->snapshot);
    json_set_u64(o, "next", u->next);
    json_set_u64(o, "starts", u->starts);
    provider_save(&u->p->up, o);
    u->saved_at = now_ms();
}

/* --- the image, if it is there already ------------------------------------*/

struct found {
    const struct provider_publish *q;
    char *id, state[24], why[120];
    bool same; /* Made of the same file. */
};

static int take_image(void *arg, const struct xml_node *item)
{
    struct found *f = arg;
    free(f->id);
    f->id = strdup(xml_text(item, "imageId"));
    f->same = !strcmp(ec2_tag(item, EC2_TAG_SHA256), f->q->sha256);
    snprintf(f->state, sizeof f->state, "%s", xml_text(item, "imageState"));
    snprintf(f->why, sizeof f->why, "%s",
             xml_text(item, "stateReason/message"));
    return f->id ? 0 : -ENOMEM;
}

/* By name, among our own account's. */
static int find_image(struct upload *u, struct found *ret, struct sc_err *err)
{
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    *ret = (struct found){ .q = u->q };
    ec2_add(&f, "self", "Owner.1");
    ec2_add_filter(&f, 1, "name", u->q->name);
    return ec2_each(u->p, u->region, "DescribeImages", &f, "imagesSet",
                    take_image, ret, err);
}

/* Waits until the image can be used. */
static int wait_image(struct upload *u, struct sc_err *err)
{
    for (unsigned n = 0; n < LOOKS_MAX; n++) {
        struct found f;
        int r = find_image(u, &f, err);
        free(f.id);
        if (r < 0)
            return r;
        if (f.id && !strcmp(f.state, "available"))
            return 0;
        if (!strcmp(f.state, "failed") || !strcmp(f.state, "invalid") ||
            !strcmp(f.state, "error"))
            return sc_fail(err, -EIO, "image %s in %s is %s: %s", u->image,
                           u->region, f.state, f.why);
        if (!f.id && n == LOOKS_FRESH)
            return sc_fail(err, -EPROTO,
                           "image %s in %s: registered, but not "
                           "to be seen",
                           u->image, u->region);
        provider_progress(&u->p->up, "register", 0, 0);
        if ((r = ec2_pause(u->p, n, err)) < 0)
            return r;
    }
    return sc_fail(err, -ETIMEDOUT, "image %s in %s is not ready", u->image,
                   u->region);
}

static int register_image(struct upload *u, struct sc_err *err)
{
    const struct provider_publish *q = u->q;
    bool uefi = q->boot && !strcmp(q->boot, "uefi");
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    SC_AUTO(xml_free) struct xml *x = NULL;
    ec2_add(&f, q->name, "Name");
    ec2_add(&f, "Supercloud appliance", "Description");
    ec2_add(&f, "x86_64", "Architecture");
    ec2_add(&f, "hvm", "VirtualizationType");
    ec2_add(&f, "true", "EnaSupport");
    ec2_add(&f, uefi ? "uefi" : "legacy-bios", "BootMode");
    ec2_add(&f, "v2.0", "ImdsSupport");
    ec2_add(&f, "/dev/xvda", "RootDeviceName");
    ec2_add(&f, "/dev/xvda", "BlockDeviceMapping.1.DeviceName");
    ec2_add(&f, u->snapshot, "BlockDeviceMapping.1.Ebs.SnapshotId");
    ec2_add(&f, "gp3", "BlockDeviceMapping.1.Ebs.VolumeType");
    ec2_add(&f, "true", "BlockDeviceMapping.1.Ebs.DeleteOnTermination");
    ec2_add_tags(&f, 1, "image", q->name, &q->tags, q->sha256);
    provider_progress(&u->p->up, "register", 0, 0);
    int r = ec2_call(u->p, EC2_EC2, u->region, "RegisterImage", &f, &x, err);
    if (r < 0 && ec2_refused(u->p, "InvalidAMIName.Duplicate")) {
        /* An earlier try of ours whose answer was lost, or another's. */
        struct found old;
        struct sc_err other = { 0 };
        if (find_image(u, &old, &other) < 0 || !old.id || !old.same) {
            free(old.id);
            return r;
        }
        u->image = old.id;
        return 0;
    }
    if (r < 0)
        return r;
    u->image = strdup(xml_text(xml_root(x), "imageId"));
    u->registered = true;
    return u->image && *u->image
               ? 0
               : sc_fail(err, -EPROTO,
                         "RegisterImage: an answer without an "
                         "image");
}

/* --- the snapshot ----------------------------------------------------------*/

static int take_state(void *arg, const struct xml_node *item)
{
    snprintf(arg, 24, "%s", xml_text(item, "status"));
    return 0;
}

/* "pending", "completed", "error"; "" if there is none. */
static int snapshot_state(struct upload *u, char ret[24], struct sc_err *err)
{
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    ec2_add(&f, u->snapshot, "SnapshotId.1");
    ret[0] = '\0';
    int r = ec2_each(u->p, u->region, "DescribeSnapshots", &f, "snapshotSet",
                     take_state, ret, err);
    return r == -ENOENT ? 0 : r;
}

static int start_snapshot(struct upload *u, struct sc_err *err)
{
    static const struct web_header type = { "Content-Type",
                                            "application/json" };
    const char *const tags[][2] = { { "Name", u->q->name },
                                    { EC2_TAG_CLUSTER, u->q->tags.cluster },
                                    { EC2_TAG_TOKEN, u->q->tags.token },
                                    { EC2_TAG_SHA256, u->q->sha256 } };
    const uint64_t gib = 1ULL << 30;
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    SC_AUTO(cjson_free) cJSON *answer = NULL;
    json_set_u64(o, "VolumeSize", (u->size + gib - 1) / gib);
    json_set_strf(o, "ClientToken", "%s-%u", u->q->tags.token, u->starts);
    json_set_strf(o, "Description", "Supercloud image %s", u->q->name);
    json_set_u64(o, "Timeout", IDLE_MINUTES);
    cJSON *list = cJSON_AddArrayToObject(o, "Tags");
    for (size_t i = 0; i < SC_ARRAY_LEN(tags); i++) {
        cJSON *t = cJSON_CreateObject();
        cJSON_AddStringToObject(t, "Key", tags[i][0]);
        cJSON_AddStringToObject(t, "Value", tags[i][1]);
        cJSON_AddItemToArray(list, t);
    }
    SC_AUTO(free) char *body = cJSON_PrintUnformatted(o);
    if (!body)
        return sc_fail(err, -ENOMEM, "out of memory");
    struct web_request q = { .method = "POST",
                             .headers = &type,
                             .n_headers = 1,
                             .body = body,
                             .body_size = strlen(body) };
    u->starts++;
    u->next = 0;
    save(u);
    int r = ec2_json(u->p, EC2_EBS, u->region, "StartSnapshot", "/snapshots", q,
                     false, &answer, err);
    if (r < 0)
        return r;
    const char *id =
        cJSON_GetStringValue(cJSON_GetObjectItem(answer, "SnapshotId"));
    const cJSON *block = cJSON_GetObjectItem(answer, "BlockSize");
    if (!id || (block && block->valueint != BLOCK))
        return sc_fail(err, -EPROTO,
                       "StartSnapshot: an answer without a "
                       "snapshot of blocks of 512 KiB");
    free(u->snapshot);
    if (!(u->snapshot = strdup(id)))
        return sc_fail(err, -ENOMEM, "out of memory");
    save(u);
    return 0;
}

static bool is_zero(const char *data)
{
    return !*data && !memcmp(data, data + 1, BLOCK - 1);
}

static int read_block(const struct upload *u, uint64_t i, char *data,
                      size_t *ret_size, struct sc_err *err)
{
    size_t size = 0;
    uint64_t at = i * BLOCK;
    size_t want = u->size - at < BLOCK ? (size_t)(u->size - at) : BLOCK;
    while (size < want) {
        ssize_t n = pread(u->fd, data + size, want - size, (off_t)(at + size));
        if (n <= 0)
            return sc_fail(err, n < 0 ? -errno : -EIO, "file '%s': %s",
                           u->q->file, n < 0 ? strerror(errno) : "cut short");
        size += (size_t)n;
    }
    memset(data + size, 0, BLOCK - size);
    *ret_size = size;
    return 0;
}

/* Block 'i': into the hashes, and to the provider if it is not there yet. */
static int do_block(struct upload *u, struct ec2_put *put, uint64_t i,
                    char *data, struct sc_err *err)
{
    unsigned char hash[HASH];
    size_t size = 0;
    int r = read_block(u, i, data, &size, err);
    if (r < 0)
        return r;
    if (EVP_DigestUpdate(u->all, data, size) != 1)
        return sc_fail(err, -EIO, "SHA-256 fails");
    if (is_zero(data))
        return 0;
    if (EVP_Digest(data, BLOCK, hash, NULL, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(u->blocks, hash, HASH) != 1)
        return sc_fail(err, -EIO, "SHA-256 fails");
    u->n_sent++;
    if (i < u->next)
        return 0;
    if ((r = ec2_put_block(put, i, data, hash, err)) < 0)
        return r;
    u->next = ec2_put_first_open(put, i + 1);
    if (now_ms() - u->saved_at >= SAVE_MS)
        save(u);
    return 0;
}

static int check_hash(struct upload *u, struct sc_err *err)
{
    unsigned char hash[HASH];
    char hex[2 * HASH + 1];
    if (EVP_DigestFinal_ex(u->all, hash, NULL) != 1)
        return sc_fail(err, -EIO, "SHA-256 fails");
    for (int i = 0; i < HASH; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    return strcmp(hex, u->q->sha256) == 0
               ? 0
               : sc_fail(err, -EINVAL,
                         "file '%s': its SHA-256 is %.12s..., not %.12s...: it "
                         "was changed or damaged",
                         u->q->file, hex, u->q->sha256);
}

static int send_blocks(struct upload *u, struct sc_err *err)
{
    SC_AUTO(free) char *data = malloc(BLOCK);
    u->n_sent = 0;
    if (!data || EVP_DigestInit_ex(u->all, EVP_sha256(), NULL) != 1 ||
        EVP_DigestInit_ex(u->blocks, EVP_sha256(), NULL) != 1)
        return sc_fail(err, -ENOMEM, "out of memory");
    SC_AUTO(ec2_put_free) struct ec2_put *put = NULL;
    int r = ec2_put_new(u->p, u->region, u->snapshot, u->n_blocks, &put, err);
    for (uint64_t i = 0; r == 0 && i < u->n_blocks; i++) {
        provider_progress(&u->p->up, "upload", i * BLOCK, u->size);
        if (provider_cancelled(&u->p->up))
            return sc_fail(err, -ECANCELED, "cancelled");
        r = do_block(u, put, i, data, err);
    }
    if (r == 0)
        r = ec2_put_wait(put, err);
    if (r < 0)
        return r;
    provider_progress(&u->p->up, "upload", u->size, u->size);
    u->next = u->n_blocks;
    save(u);
    return check_hash(u, err);
}

static int complete(struct upload *u, struct sc_err *err)
{
    unsigned char hash[HASH];
    char path[120], count[16], state[24];
    if (EVP_DigestFinal_ex(u->blocks, hash, NULL) != 1)
        return sc_fail(err, -EIO, "SHA-256 fails");
    SC_AUTO(free) char *checksum = json_b64_encode(hash, HASH);
    if (!checksum)
        return sc_fail(err, -ENOMEM, "out of memory");
    snprintf(path, sizeof path, "/snapshots/completion/%s", u->snapshot);
    snprintf(count, sizeof count, "%u", u->n_sent);
    struct web_header headers[] = {
        { "x-amz-ChangedBlocksCount", count },
        { "x-amz-Checksum", checksum },
        { "x-amz-Checksum-Algorithm", "SHA256" },
        { "x-amz-Checksum-Aggregation-Method", "LINEAR" },
    };
    struct web_request q = { .method = "POST",
                             .headers = headers,
                             .n_headers = SC_ARRAY_LEN(headers) };
    int r = ec2_json(u->p, EC2_EBS, u->region, "CompleteSnapshot", path, q,
                     false, NULL, err);
    /* Refused, perhaps because an earlier try did it: see. */
    for (unsigned n = 0; r == -EINVAL && n < LOOKS_SEALED; n++) {
        struct sc_err other = { 0 };
        if (snapshot_state(u, state, &other) == 0 &&
            !strcmp(state, "completed"))
            return 0;
        if (ec2_pause(u->p, n, &other) < 0)
            break;
    }
    return r;
}

static int wait_snapshot(struct upload *u, struct sc_err *err)
{
    char state[24];
    for (unsigned n = 0; n < LOOKS_MAX; n++) {
        int r = snapshot_state(u, state, err);
        if (r < 0)
            return r;
        if (!strcmp(state, "completed"))
            return 0;
        if (!strcmp(state, "error"))
            return sc_fail(err, -EIO,
                           "snapshot %s in %s: the provider could "
                           "not finish it",
                           u->snapshot, u->region);
        provider_progress(&u->p->up, "snapshot", 0, 0);
        if ((r = ec2_pause(u->p, n, err)) < 0)
            return r;
    }
    return sc_fail(err, -ETIMEDOUT, "snapshot %s in %s is not finished",
                   u->snapshot, u->region);
}

/* --- all of it -------------------------------------------------------------*/

static int open_file(struct upload *u, struct sc_err *err)
{
    struct stat st;
    u->fd = open(u->q->file, O_RDONLY | O_CLOEXEC);
    if (u->fd < 0 || fstat(u->fd, &st) < 0)
        return sc_fail(err, -errno, "file '%s': %s", u->q->file,
                       strerror(errno));
    u->size = (uint64_t)st.st_size;
    if (!u->size || (u->q->virtual_size && u->q->virtual_size != u->size))
        return sc_fail(err, -EINVAL,
                       "file '%s': %llu bytes, not %llu as in its manifest",
                       u->q->file, (unsigned long long)u->size,
                       (unsigned long long)u->q->virtual_size);
    u->n_blocks = (u->size + BLOCK - 1) / BLOCK;
    u->all = EVP_MD_CTX_new();
    u->blocks = EVP_MD_CTX_new();
    return u->all && u->blocks ? 0 : sc_fail(err, -ENOMEM, "out of memory");
}

/* What a run before this one saved: '*ret_state' is its snapshot's, or "". */
static int read_resume(struct upload *u, char ret_state[24], struct sc_err *err)
{
    struct json_reader r = json_read(u->q->resume, "resume");
    ret_state[0] = '\0';
    if (!u->q->resume)
        return 0;
    const char *id = json_str_or(&r, "snapshot", 60, NULL);
    u->next = (uint64_t)json_int_or(&r, "next", 0, INT64_MAX, 0);
    u->starts = (unsigned)json_int_or(&r, "starts", 0, 1000, 0);
    if (json_done(&r, err) < 0)
        return -EINVAL;
    if (!id) { /* Its answer was lost: the same token brings it back. */
        u->starts -= u->starts > 0;
        return 0;
    }
    if (!(u->snapshot = strdup(id)))
        return sc_fail(err, -ENOMEM, "out of memory");
    return snapshot_state(u, ret_state, err);
}

static int make_snapshot(struct upload *u, struct sc_err *err)
{
    char state[24];
    int r = read_resume(u, state, err);
    if (r < 0)
        return r;
    if (!strcmp(state, "completed"))
        return 0;
    unsigned most = u->starts + STARTS_MAX;
    bool have = !strcmp(state, "pending");
    for (;; have = false) {
        r = have ? 0 : start_snapshot(u, err);
        if (r == 0)
            r = send_blocks(u, err);
        if (r == 0)
            r = complete(u, err);
        if (r != -ENOENT || u->starts >= most)
            return r == 0 ? wait_snapshot(u, err) : r;
    }
}

static int publish(struct upload *u, struct sc_err *err)
{
    struct found old = { 0 };
    int r = open_file(u, err);
    if (r == 0)
        r = find_image(u, &old, err);
    if (r < 0)
        return r;
    bool there = old.id;
    u->image = old.id;
    if (there && old.same)
        return wait_image(u, err);
    if (there)
        return sc_fail(err, -EEXIST,
                       "image '%s' in %s: there is one of another file: choose "
                       "another name, or remove it",
                       u->q->name, u->region);
    r = make_snapshot(u, err);
    if (r == 0)
        r = register_image(u, err);
    if (r == 0)
        r = wait_image(u, err);
    if (r < 0) {
        const struct ec2_known known[] = {
            { "image", u->registered ? u->image : NULL },
            { "snapshot", u->snapshot },
        };
        ec2_undo(u->p, u->region, EC2_MADE_IMAGE, &u->q->tags, known,
                 SC_ARRAY_LEN(known), err);
    }
    return r;
}

int ec2_publish(struct provider *up, const struct provider_publish *q,
                struct provider_image *ret, struct sc_err *err)
{
    struct p_ec2 *p = (struct p_ec2 *)up;
    struct upload u = {
        .p = p, .q = q, .region = ec2_region(p, q->region), .fd = -1
    };
    if (strlen(q->name) < 3)
        return sc_fail(err, -EINVAL,
                       "name '%s': EC2 wants 3 characters at "
                       "least",
                       q->name);
    int r = publish(&u, err);
    struct provider_image i = { 0 };
    if (r == 0) {
        i.id = SC_TAKE(u.image);
        i.name = strdup(q->name);
        i.region = strdup(u.region);
        if (!i.name || !i.region)
            r = sc_fail(err, -ENOMEM, "out of memory");
    }
    upload_free(&u);
    if (r == 0)
        *ret = i;
    else
        provider_image_clear(&i);
    return r;
}

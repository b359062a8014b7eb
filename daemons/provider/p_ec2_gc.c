/* p_ec2_gc - what carries our tags, and its removal. */
#include "provider/p_ec2.h"

#include "common/json.h"

enum { LOOKS_MAX = 30 };

/* A kind of thing; in the order in which they can be removed. */
struct kind {
    const char *name, *describe, *path, *id, *state, *created;
    bool owner; /* Only our own account's, without which others' are listed. */
    enum ec2_made by; /* Of which call it is a part. */
};
static const struct kind kinds[] = {
    { "instance", "DescribeInstances", "reservationSet", "instanceId",
      "instanceState/name", "launchTime", false, EC2_MADE_INSTANCE },
    { "image", "DescribeImages", "imagesSet", "imageId", "imageState",
      "creationDate", true, EC2_MADE_IMAGE },
    { "snapshot", "DescribeSnapshots", "snapshotSet", "snapshotId", "status",
      "startTime", true, EC2_MADE_IMAGE },
    { "volume", "DescribeVolumes", "volumeSet", "volumeId", "status",
      "createTime", false, EC2_MADE_INSTANCE },
    { "security-group", "DescribeSecurityGroups", "securityGroupInfo",
      "groupId", "groupDescription", "", false, EC2_MADE_INSTANCE },
};

struct each {
    const struct kind *kind;
    const char *region;
    provider_each_resource_fn *fn;
    void *arg;
};

static int give(const struct each *e, const struct xml_node *item)
{
    const char *state = xml_text(item, e->kind->state);
    const char *size = xml_text(item, "volumeSize");
    char detail[120];
    if (!strcmp(state, "terminated") || !strcmp(state, "deregistered"))
        return 0;
    snprintf(detail, sizeof detail, "%s%s%s%s", state, *size ? ", " : "", size,
             *size ? " GiB" : "");
    struct provider_resource r = {
        .kind = (char *)e->kind->name,
        .id = (char *)xml_text(item, e->kind->id),
        .name = (char *)ec2_tag(item, "Name"),
        .region = (char *)e->region,
        .cluster = (char *)ec2_tag(item, EC2_TAG_CLUSTER),
        .token = (char *)ec2_tag(item, EC2_TAG_TOKEN),
        .detail = detail,
        .created_at = ec2_time(xml_text(item, e->kind->created)),
    };
    return e->fn(e->arg, &r);
}

static int give_item(void *arg, const struct xml_node *item)
{
    const struct each *e = arg;
    const struct xml_node *i = xml_get(item, "instancesSet");
    int r = 0;
    if (!i)
        return give(e, item);
    for (i = i->child; r == 0 && i; i = i->next)
        r = give(e, i);
    return r;
}

/* 'token' NULL: any. */
static int each_tagged(struct p_ec2 *p, const char *region, enum ec2_made by,
                       const char *cluster, const char *token,
                       provider_each_resource_fn *fn, void *arg,
                       struct sc_err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < SC_ARRAY_LEN(kinds); i++) {
        if (!(kinds[i].by & by))
            continue;
        struct each e = { &kinds[i], region, fn, arg };
        SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
        ec2_add(&f, kinds[i].owner ? "self" : NULL, "Owner.1");
        ec2_add_filter(&f, 1, "tag:" EC2_TAG_CLUSTER, cluster);
        if (token)
            ec2_add_filter(&f, 2, "tag:" EC2_TAG_TOKEN, token);
        r = ec2_each(p, region, kinds[i].describe, &f, kinds[i].path, give_item,
                     &e, err);
    }
    return r;
}

int ec2_leftovers(struct provider *up, const char *cluster,
                  provider_each_resource_fn *fn, void *arg, struct sc_err *err)
{
    struct p_ec2 *p = (struct p_ec2 *)up;
    int r = 0;
    for (size_t i = 0; r == 0 && i < p->n_regions; i++)
        r = each_tagged(p, p->regions[i], EC2_MADE_IMAGE | EC2_MADE_INSTANCE,
                        cluster, NULL, fn, arg, err);
    return r;
}

/* --- removal ---------------------------------------------------------------*/

/* An action on one id; one that is not there is 0; one still in use is tried
 * again for a while: what used it is ending. */
static int drop(struct p_ec2 *p, const char *region, const char *action,
                const char *key, const char *id, struct sc_err *err)
{
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    ec2_add(&f, id, "%s", key);
    for (unsigned n = 0;; n++) {
        int r = ec2_call(p, EC2_EC2, region, action, &f, NULL, err);
        if (r == -ENOENT)
            return 0;
        bool busy = ec2_refused(p, "DependencyViolation") ||
                    ec2_refused(p, "VolumeInUse") ||
                    ec2_refused(p, "InvalidSnapshot.InUse");
        if (r == 0 || !busy || n == LOOKS_MAX)
            return r;
        if ((r = ec2_pause(p, n, err)) < 0)
            return r;
    }
}

struct snapshots {
    char ids[8][64];
    size_t n;
};

static int take_snapshots(void *arg, const struct xml_node *image)
{
    struct snapshots *s = arg;
    const struct xml_node *m = xml_first(image, "blockDeviceMapping");
    for (; m; m = m->next) {
        const char *id = xml_text(m, "ebs/snapshotId");
        if (*id && s->n < SC_ARRAY_LEN(s->ids))
            snprintf(s->ids[s->n++], sizeof s->ids[0], "%s", id);
    }
    return 0;
}

/* And the snapshots it is made of: nothing else can have them. */
static int remove_image(struct p_ec2 *p, const char *region, const char *id,
                        struct sc_err *err)
{
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    struct snapshots s = { 0 };
    ec2_add(&f, "self", "Owner.1");
    ec2_add(&f, id, "ImageId.1");
    int r = ec2_each(p, region, "DescribeImages", &f, "imagesSet",
                     take_snapshots, &s, err);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = drop(p, region, "DeregisterImage", "ImageId", id, err);
    for (size_t i = 0; r == 0 && i < s.n; i++)
        r = drop(p, region, "DeleteSnapshot", "SnapshotId", s.ids[i], err);
    return r;
}

int ec2_remove(struct provider *up, const char *kind, const char *region,
               const char *id, struct sc_err *err)
{
    struct p_ec2 *p = (struct p_ec2 *)up;
    region = ec2_region(p, region);
    if (!strcmp(kind, "instance"))
        return ec2_terminate(up, region, id, err);
    if (!strcmp(kind, "image"))
        return remove_image(p, region, id, err);
    if (!strcmp(kind, "snapshot"))
        return drop(p, region, "DeleteSnapshot", "SnapshotId", id, err);
    if (!strcmp(kind, "volume"))
        return drop(p, region, "DeleteVolume", "VolumeId", id, err);
    if (!strcmp(kind, "security-group"))
        return drop(p, region, "DeleteSecurityGroup", "GroupId", id, err);
    return sc_fail(err, -EINVAL,
                   "kind '%s': must be instance, image, snapshot, volume or "
                   "security-group",
                   kind);
}

/* What was found, kept while it is removed. */
struct list {
    struct item {
        char kind[24], id[64];
    } items[64];
    size_t n;
};

static int keep(void *arg, const struct provider_resource *r)
{
    struct list *l = arg;
    if (l->n < SC_ARRAY_LEN(l->items)) {
        struct item *i = &l->items[l->n++];
        snprintf(i->kind, sizeof i->kind, "%s", r->kind);
        snprintf(i->id, sizeof i->id, "%s", r->id);
    }
    return 0;
}

void ec2_undo(struct p_ec2 *p, const char *region, enum ec2_made by,
              const struct provider_tags *tags, const struct ec2_known *known,
              size_t n_known, struct sc_err *err)
{
    struct list l = { 0 };
    struct sc_err other = { 0 };
    char left[200] = "";
    bool was = web_undoing(p->web, true);
    provider_progress(&p->up, "undo", 0, 0);
    for (size_t i = 0; i < n_known; i++) {
        struct provider_resource one = { .kind = (char *)known[i].kind,
                                         .id = (char *)known[i].id };
        if (one.id)
            keep(&l, &one);
    }
    int r = each_tagged(p, region, by, tags->cluster, tags->token, keep, &l,
                        &other);
    for (size_t i = 0; i < l.n; i++) {
        if (ec2_remove(&p->up, l.items[i].kind, region, l.items[i].id, &other) <
            0) {
            size_t len = strlen(left);
            snprintf(left + len, sizeof left - len, " %s", l.items[i].id);
        }
    }
    web_undoing(p->web, was);
    size_t len = err ? strlen(err->text) : 0;
    if (err && (r < 0 || *left))
        snprintf(err->text + len, sizeof err->text - len,
                 "; could not be undone, gc will:%s",
                 *left ? left : " what carries this token");
}

/* What of one kind has both tags. */
static int find_kind(struct p_ec2 *p, const char *region,
                     const struct kind *kind, const struct provider_tags *tags,
                     struct list *ret, struct sc_err *err)
{
    struct each e = { kind, region, keep, ret };
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    ec2_add_filter(&f, 1, "tag:" EC2_TAG_CLUSTER, tags->cluster);
    ec2_add_filter(&f, 2, "tag:" EC2_TAG_TOKEN, tags->token);
    return ec2_each(p, region, kind->describe, &f, kind->path, give_item, &e,
                    err);
}

int ec2_remove_groups(struct p_ec2 *p, const char *region,
                      const struct provider_tags *tags, struct sc_err *err)
{
    struct list users = { 0 }, l = { 0 };
    int r = find_kind(p, region, &kinds[0], tags, &users, err);
    if (r == 0 && !users.n)
        r = find_kind(p, region, &kinds[SC_ARRAY_LEN(kinds) - 1], tags, &l,
                      err);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = drop(p, region, "DeleteSecurityGroup", "GroupId", l.items[i].id,
                 err);
    return r;
}

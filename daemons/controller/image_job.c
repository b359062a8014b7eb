/* Images and volumes going away. */
#include "controller/authority.h"
#include "controller/jobs.h"

#include <unistd.h>

void ctl_volume_drop(struct ctl *ctl, struct ctl_txn *x, const char *id)
{
    struct store_txn *t = ctl_txn_store(x);
    struct sc_err err;
    int r = t ? authority_delete(t, id, &err) : 0;
    if (r < 0)
        ctl_txn_fail(x, r, &err);
    for (size_t i = 0; i < ctl->nodes.n; i++) {
        cJSON *p = cJSON_CreateObject();
        cJSON_AddStringToObject(p, "volume_id", id);
        ctl_errand_add(ctl, x, ctl->nodes.items[i]->n.nid, PROGRAM_STORAGE,
                       "volume.delete", p);
    }
}

void ctl_image_drop(struct ctl *ctl, struct ctl_txn *x, struct image *image)
{
    ctl_volume_drop(ctl, x, image->id);
    ctl_list_remove(&ctl->images, image);
    ctl_del(x, "images", image->id, "image");
    free(image);
}

static void remove_run(struct ctl *ctl, struct job *job)
{
    struct image *image = ctl_image_find(ctl, job->object_id);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    if (image)
        ctl_image_drop(ctl, x, image);
    job_ok_txn(ctl, job, x);
}

const struct job_kind image_delete_job = {
    .name = "image.delete",
    .fixed = "its blocks are being removed from every node",
    .steps = { { "remove", remove_run, NULL, .weight = 1 } },
};

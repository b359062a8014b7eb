/* volume_files - a volume from a file, to a file, and its end.
 *
 * All in pieces through the ring, so that the loop never waits for a disk.
 * An import that fails, or is cut short by a crash, leaves nothing. */
#include "storage/storage.h"

#include "common/json.h"
#include "common/log.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>

enum { PIECE = 1 << 20 };

#define OF(type, member, p) ((type *)((char *)(p)-offsetof(type, member)))

/* --- import ------------------------------------------------------------- */
struct import {
    struct vol_op *op;
    struct import_args args;
    int fd;
    uint8_t *buf;
    uint64_t at;   /* Bytes of the file that are read. */
    uint32_t part; /* Bytes of this piece. */
    EVP_MD_CTX *digest;
    struct io_op read;
    struct bs_op write;
    struct sc_err err;
};

static void import_read(struct import *im);

static void import_free(struct import *im)
{
    if (im->fd >= 0)
        close(im->fd);
    EVP_MD_CTX_free(im->digest);
    bufpool_put(im->op->st->pool, im->buf, PIECE);
    free(im);
}

/* Takes the volume's files away; the volume is as if it had never been. */
static int remove_store(struct storage *st, struct volume *v)
{
    char dir[4096], recent[4096];
    storage_volume_dir(st, v, dir);
    storage_recent_path(st, v, recent);
    if (v->parent) {
        v->parent->children--;
        v->parent = NULL;
    }
    bstore_free(SC_TAKE(v->bs));
    v->state = VOL_NEW;
    v->view_seq = 0;
    v->epoch = 0;
    return bstore_remove(st->env.io, dir, recent);
}

struct removal {
    struct vol_op *op;
    void (*then)(struct vol_op *op, int res);
    struct sc_source *timer;
};

static void try_remove(void *arg)
{
    struct removal *r = arg;
    const struct volume *v = r->op->v;
    if (!bstore_is_quiet(v->bs) || v->connections || v->n_batches)
        return; /* A commit or a checkpoint is under way; the next time. */
    struct vol_op *op = r->op;
    void (*then)(struct vol_op *, int) = r->then;
    sc_source_free(r->timer);
    free(r);
    then(op, remove_store(op->st, op->v));
}

static void remove_when_quiet(struct vol_op *op,
                              void (*then)(struct vol_op *op, int res))
{
    struct removal *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    *r = (struct removal){ op, then, NULL };
    fetcher_drop(op->st->fetcher, op->v, -ENOENT);
    nbd_server_kick(op->st->nbd, op->v);
    if (sc_loop_add_timer(op->st->loop, 0, 10, try_remove, r, &r->timer) < 0)
        abort();
}

static void import_removed(struct vol_op *op, int res)
{
    struct import *im = op->data;
    struct sc_err err = im->err;
    (void)res; /* The reason matters more. */
    unlink(im->args.path);
    import_free(im);
    op->data = NULL;
    op_fail(op, &err);
}

static void import_failed(struct import *im)
{
    if (im->op->v->bs)
        remove_when_quiet(im->op, import_removed);
    else
        import_removed(im->op, 0);
}

static void import_fail(struct import *im, int code, const char *why)
{
    sc_fail(&im->err, code, "volume %s: import: %s", im->op->v->id, why);
    import_failed(im);
}

static void import_idle(struct vol_op *op, int res)
{
    struct import *im = op->data;
    if (res < 0) {
        import_fail(im, res, strerror(-res));
        return;
    }
    unlink(im->args.path);
    import_free(im);
    op->data = NULL;
    cJSON *o = cJSON_CreateObject();
    json_set_u64(o, "blocks", block_map_n_local(bstore_map(op->v->bs)));
    op_done(op, o);
}

static void on_import_pushed(void *arg, const struct sc_err *err)
{
    struct import *im = arg;
    if (err->code < 0) {
        im->err = *err;
        import_failed(im);
        return;
    }
    volume_set_state(im->op->v, VOL_IDLE);
    op_commit(im->op, import_idle);
}

static void import_check(struct import *im)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    unsigned n = 0;
    if (EVP_DigestFinal_ex(im->digest, sum, &n) != 1) {
        import_fail(im, -EIO, "the digest failed");
        return;
    }
    for (unsigned i = 0; i < n; i++)
        sprintf(hex + 2 * i, "%02x", sum[i]);
    if (strcasecmp(hex, im->args.sha256) != 0) {
        sc_fail(&im->err, -EBADMSG,
                "volume %s: import: SHA-256 is %s, expected %s", im->op->v->id,
                hex, im->args.sha256);
        import_failed(im);
        return;
    }
    volume_push(im->op->st, im->op->v, true, on_import_pushed, im);
}

static void on_import_written(struct bs_op *w, int res)
{
    struct import *im = OF(struct import, write, w);
    if (res < 0)
        import_fail(im, res, strerror(-res));
    else if (im->at == im->args.size)
        import_check(im);
    else
        import_read(im);
}

static void on_import_read(struct io_op *op, int res)
{
    struct import *im = OF(struct import, read, op);
    if (res <= 0 || (uint32_t)res > im->part) {
        import_fail(im, res < 0 ? res : -EBADMSG,
                    res < 0 ? strerror(-res) : "the file is too short");
        return;
    }
    uint32_t n = (uint32_t)res;
    uint64_t left = im->args.size - im->at;
    if (n % BLOCK_SIZE && n < left) /* Cut short: only whole blocks now. */
        n = n / BLOCK_SIZE * BLOCK_SIZE;
    if (n == 0 || EVP_DigestUpdate(im->digest, im->buf, n) != 1) {
        import_fail(im, -EIO, "short read");
        return;
    }
    uint32_t blocks = (n + BLOCK_SIZE - 1) / BLOCK_SIZE;
    memset(im->buf + n, 0, (size_t)blocks * BLOCK_SIZE - n);
    /* Zeros need not be stored at all: nothing is below. */
    uint32_t first = (uint32_t)(im->at / BLOCK_SIZE);
    im->at += n;
    im->write = (struct bs_op){
        .done = on_import_written, .block = first, .n = blocks, .buf = im->buf
    };
    static const uint8_t zeros[BLOCK_SIZE];
    bool zero = true;
    for (uint32_t i = 0; zero && i < blocks; i++)
        zero = memcmp(im->buf + (size_t)i * BLOCK_SIZE, zeros, BLOCK_SIZE) == 0;
    if (zero)
        on_import_written(&im->write, 0);
    else
        bstore_write(im->op->v->bs, &im->write);
}

static void import_read(struct import *im)
{
    uint64_t left = im->args.size - im->at;
    im->part = left < PIECE ? (uint32_t)left : PIECE;
    im->read = (struct io_op){ .done = on_import_read };
    ring_read_fd(im->op->st->ring, &im->read, im->fd, im->buf, im->part,
                 im->at);
}

static void import_durable(struct vol_op *op, int res)
{
    struct import *im = op->data;
    if (res < 0)
        import_fail(im, res, strerror(-res));
    else
        import_read(im);
}

static void on_import_pulled(void *arg, const struct sc_err *err)
{
    struct import *im = arg;
    struct volume *v = im->op->v;
    if (err->code < 0) {
        im->err = *err;
        import_failed(im);
        return;
    }
    if (volume_size(v) != im->args.size ||
        block_map_n_known(bstore_map(v->bs))) {
        import_fail(im, -EINVAL,
                    "the volume has another size, or is not empty");
        return;
    }
    v->rw = true;
    v->told = true;
    v->epoch = im->op->epoch;
    bstore_set_writer(v->bs, v->epoch, im->op->st->env.self);
    volume_set_state(v, VOL_IMPORTING);
    op_commit(im->op, import_durable);
}

static void import_begin(struct vol_op *op, int res)
{
    if (res < 0) {
        op_failf(op, res, "import: what an earlier one left: %s",
                 strerror(-res));
        return;
    }
    struct import *im = calloc(1, sizeof *im);
    if (!im)
        abort();
    im->op = op;
    im->args = *(struct import_args *)op->data;
    free(op->data);
    op->data = im;
    im->buf = bufpool_get(op->st->pool, PIECE);
    im->digest = EVP_MD_CTX_new();
    im->fd = open(im->args.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat sb;
    if (im->fd < 0 || fstat(im->fd, &sb) < 0)
        import_fail(im, -errno, strerror(errno));
    else if (!S_ISREG(sb.st_mode) || (uint64_t)sb.st_size != im->args.size)
        import_fail(im, -EBADMSG, "the file has not the size it should have");
    else if (!im->buf || !im->digest ||
             EVP_DigestInit_ex(im->digest, EVP_sha256(), NULL) != 1)
        import_fail(im, -ENOMEM, "out of memory");
    else
        volume_pull(op->st, op->v, true, op->epoch, on_import_pulled, im);
}

/* It was imported before, and the answer was lost. */
static void import_again(struct vol_op *op)
{
    cJSON *o = cJSON_CreateObject();
    unlink(((struct import_args *)op->data)->path);
    json_set_u64(o, "blocks", block_map_n_local(bstore_map(op->v->bs)));
    op_done(op, o);
}

void op_run_import(struct vol_op *op)
{
    struct volume *v = op->v;
    if (v->state != VOL_NEW && v->state != VOL_IMPORTING &&
        v->state != VOL_IDLE)
        op_failf(op, -EBUSY, "import: it is %s", vol_state_name(v->state));
    else if (v->state == VOL_IDLE && v->epoch == op->epoch &&
             volume_size(v) == ((struct import_args *)op->data)->size)
        import_again(op);
    else if (v->bs) /* Of an import that did not get to its end. */
        remove_when_quiet(op, import_begin);
    else
        import_begin(op, 0);
}

/* --- export ------------------------------------------------------------- */
struct export
{
    struct vol_op *op;
    char path[1024], part[1100];
    int fd;
    uint8_t *buf;
    uint64_t at;
    struct vol_req read;
    struct io_op write;
};

static void export_end(struct export *ex, int res)
{
    struct vol_op *op = ex->op;
    if (ex->fd >= 0)
        close(ex->fd);
    if (res == 0 && rename(ex->part, ex->path) < 0)
        res = -errno;
    if (res < 0)
        unlink(ex->part);
    bufpool_put(op->st->pool, ex->buf, PIECE);
    op->data = NULL;
    free(ex);
    if (res < 0) {
        op_failf(op, res, "export: %s", strerror(-res));
        return;
    }
    cJSON *o = cJSON_CreateObject();
    json_set_u64(o, "size", volume_size(op->v));
    op_done(op, o);
}

static void export_next(struct export *ex);

static void on_export_written(struct io_op *op, int res)
{
    struct export *ex = OF(struct export, write, op);
    if (res <= 0) {
        export_end(ex, res < 0 ? res : -EIO);
        return;
    }
    ex->at += (uint32_t)res;
    export_next(ex);
}

static void on_export_read(struct vol_req *req, int res)
{
    struct export *ex = OF(struct export, read, req);
    if (res < 0) {
        export_end(ex, res);
        return;
    }
    uint64_t base = ex->at / BLOCK_SIZE * BLOCK_SIZE;
    ex->write = (struct io_op){ .done = on_export_written };
    ring_write_fd(ex->op->st->ring, &ex->write, ex->fd,
                  ex->buf + (ex->at - base), ex->read.length, ex->at);
}

static void export_next(struct export *ex)
{
    uint64_t left = volume_size(ex->op->v) - ex->at;
    if (left == 0) {
        export_end(ex, 0);
        return;
    }
    uint64_t room = PIECE - ex->at % BLOCK_SIZE;
    ex->read.done = on_export_read;
    ex->read.cmd = VOL_READ;
    ex->read.offset = ex->at;
    ex->read.length = (uint32_t)(left < room ? left : room);
    ex->read.buf = ex->buf;
    ex->read.internal = true;
    volume_submit(ex->op->v, &ex->read);
}

static void export_begin(struct vol_op *op)
{
    struct export *ex = calloc(1, sizeof *ex);
    if (!ex)
        abort();
    ex->op = op;
    snprintf(ex->path, sizeof ex->path, "%s", (char *)op->data);
    snprintf(ex->part, sizeof ex->part, "%s.part", ex->path);
    free(op->data);
    op->data = ex;
    ex->buf = bufpool_get(op->st->pool, PIECE);
    ex->fd = open(ex->part,
                  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (ex->fd < 0)
        export_end(ex, -errno);
    else if (!ex->buf)
        export_end(ex, -ENOMEM);
    else
        export_next(ex);
}

static void on_export_pulled(void *arg, const struct sc_err *err)
{
    struct vol_op *op = arg;
    if (err->code < 0)
        op_fail(op, err);
    else
        export_begin(op);
}

void op_run_export(struct vol_op *op)
{
    struct volume *v = op->v;
    if (v->state == VOL_NEW || v->state == VOL_IDLE)
        volume_pull(op->st, v, false, 0, on_export_pulled, op);
    else if (v->state == VOL_IMPORTING)
        op_failf(op, -EBUSY, "export: it is being imported");
    else
        export_begin(op);
}

/* --- delete ------------------------------------------------------------- */
static void deleted(struct vol_op *op, int res)
{
    if (res < 0)
        op_failf(op, res, "delete: %s", strerror(-res));
    else
        op_done(op, NULL);
}

void op_run_delete(struct vol_op *op)
{
    struct volume *v = op->v;
    if (!v->bs)
        op_done(op, NULL);
    else if (v->children)
        op_failf(op, -EBUSY, "delete: %u volumes here are based on it",
                 v->children);
    else if (v->state != VOL_IDLE && v->state != VOL_IMPORTING &&
             (v->state != VOL_OPEN || v->rw || v->connections))
        op_failf(op, -EBUSY, "delete: it is %s", vol_state_name(v->state));
    else
        remove_when_quiet(op, deleted);
}

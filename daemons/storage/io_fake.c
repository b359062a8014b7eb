/* io_fake - see io_fake.h.
 *
 * Each file keeps its bytes as programs see them ('now'), its bytes as the
 * platter has them ('kept'), and the list of changes between the two. */
#include "storage/io_fake.h"

#include "common/clean.h"

#include <errno.h>
#include <string.h>

enum { FILES_MAX = 64, PAGE = 4096, SECTOR = 512 };

struct change { /* Not synced yet. */
    struct change *next;
    uint64_t offset, size;
    uint64_t mark; /* Counts up. */
    uint8_t data[];
};

struct file {
    char *path;
    bool used;
    uint8_t *now, *kept;
    uint64_t size, kept_size, capacity;
    struct change *changes, **last;
    uint8_t *holes; /* One byte a page: 1 is a hole. */
};
struct mapping {
    char *path;
    void *mem;
    size_t size;
};

struct pending {
    struct pending *next;
    enum io_fake_kind kind;
    struct io_op *op;
    int file;
    void *read_to;
    uint8_t *data; /* Owned copy of what is written. */
    uint64_t offset, size;
    uint64_t mark; /* Of a sync: changes up to it. */
};

struct io_fake {
    struct io up; /* Must be first. */
    uint64_t random, mark, space;
    struct file files[FILES_MAX];
    struct mapping maps[FILES_MAX];
    uint8_t boot;
    struct pending *pending;
    unsigned n_pending;
    bool lying;
    struct {
        unsigned nth;
        int error;
    } faults[IO_FAKE_N_KINDS];
    uint64_t counts[IO_FAKE_N_KINDS];
};

static struct io_fake *fake_of(const struct io *io)
{
    return (struct io_fake *)io;
}

static uint64_t draw(struct io_fake *f, uint64_t below)
{
    f->random ^= f->random << 13; /* xorshift64 */
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return f->random % below;
}

static int grow_file(struct file *file, uint64_t size)
{
    if (size > file->capacity) {
        uint64_t capacity = (size * 2 + PAGE - 1) / PAGE * PAGE;
        uint8_t *now = realloc(file->now, capacity);
        if (now)
            file->now = now;
        uint8_t *kept = realloc(file->kept, capacity);
        if (kept)
            file->kept = kept;
        uint8_t *holes = realloc(file->holes, capacity / PAGE);
        if (holes)
            file->holes = holes;
        if (!now || !kept || !holes)
            return -ENOMEM;
        memset(now + file->capacity, 0, capacity - file->capacity);
        memset(kept + file->capacity, 0, capacity - file->capacity);
        memset(holes + file->capacity / PAGE, 1,
               (capacity - file->capacity) / PAGE);
        file->capacity = capacity;
    }
    if (size > file->size)
        file->size = size;
    return 0;
}

static uint64_t used_of(const struct file *file)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < file->size / PAGE; i++)
        n += !file->holes[i];
    return n * PAGE;
}

/* Room for [offset, offset + size) in all files together? */
static bool has_room(struct io_fake *f, struct file *file, uint64_t offset,
                     uint64_t size)
{
    if (f->space == 0)
        return true;
    uint64_t used = 0;
    for (int i = 0; i < FILES_MAX; i++)
        used += used_of(&f->files[i]);
    for (uint64_t p = offset / PAGE; p < (offset + size) / PAGE; p++)
        if (p >= file->capacity / PAGE || file->holes[p] ||
            p * PAGE >= file->size)
            used += PAGE;
    return used <= f->space;
}

static int change(struct io_fake *f, struct file *file, const uint8_t *data,
                  uint64_t offset, uint64_t size, bool hole)
{
    if (!hole && !has_room(f, file, offset, size))
        return -ENOSPC;
    struct change *c = calloc(1, sizeof *c + size);
    if (!c || grow_file(file, offset + size) < 0) {
        free(c);
        return -ENOMEM;
    }
    if (data)
        memcpy(c->data, data, size);
    c->offset = offset;
    c->size = size;
    c->mark = ++f->mark;
    memcpy(file->now + offset, c->data, size);
    memset(file->holes + offset / PAGE, hole, size / PAGE);
    *file->last = c;
    file->last = &c->next;
    return 0;
}

/* Changes up to 'mark' reach the platter. */
static void keep(struct file *file, uint64_t mark)
{
    while (file->changes && file->changes->mark <= mark) {
        struct change *c = file->changes;
        memcpy(file->kept + c->offset, c->data, c->size);
        file->changes = c->next;
        free(c);
    }
    if (!file->changes)
        file->last = &file->changes;
    file->kept_size = file->size;
}

static int fake_open(struct io *io, const char *path, bool create)
{
    struct io_fake *f = fake_of(io);
    int unused = -1;
    for (int i = 0; i < FILES_MAX; i++) {
        if (f->files[i].used && strcmp(f->files[i].path, path) == 0)
            return i;
        if (!f->files[i].used && unused < 0)
            unused = i;
    }
    if (!create)
        return -ENOENT;
    if (unused < 0)
        return -EMFILE;
    struct file *file = &f->files[unused];
    *file = (struct file){ .used = true, .path = strdup(path) };
    file->last = &file->changes;
    return file->path ? unused : -ENOMEM;
}

static void fake_close(struct io *io, int file)
{
    (void)io;
    (void)file;
}

static int64_t fake_size(struct io *io, int file)
{
    return (int64_t)fake_of(io)->files[file].size;
}

static int read_bytes(const struct file *file, void *buf, uint64_t size,
                      uint64_t offset)
{
    if (offset >= file->size)
        return 0;
    uint64_t n = file->size - offset < size ? file->size - offset : size;
    memcpy(buf, file->now + offset, n);
    return (int)n;
}

static long fake_read_now(struct io *io, int file, void *buf, size_t size,
                          uint64_t offset)
{
    return read_bytes(&fake_of(io)->files[file], buf, size, offset);
}

static int fake_sync_now(struct io *io, int file)
{
    struct io_fake *f = fake_of(io);
    if (!f->lying)
        keep(&f->files[file], f->mark);
    return 0;
}

static int fake_map(struct io *io, const char *path, size_t size, void **ret)
{
    struct io_fake *f = fake_of(io);
    for (int i = 0; i < FILES_MAX; i++) {
        struct mapping *m = &f->maps[i];
        if (m->path && strcmp(m->path, path) != 0)
            continue;
        if (!m->path)
            *m = (struct mapping){ strdup(path), calloc(1, size), size };
        *ret = m->mem;
        return 0;
    }
    return -ENOSPC;
}

static void fake_unmap(struct io *io, void *mem, size_t size)
{
    (void)io;
    (void)mem;
    (void)size; /* It outlives who mapped it. */
}

static int fake_boot_id(struct io *io, uint8_t ret[IO_BOOT_ID])
{
    memset(ret, fake_of(io)->boot, IO_BOOT_ID);
    return 0;
}

static int fake_names(struct io *io, const char *path)
{
    (void)io;
    (void)path;
    return 0;
}

static void free_file(struct file *file)
{
    while (file->changes) {
        struct change *c = file->changes;
        file->changes = c->next;
        free(c);
    }
    free(file->path);
    free(file->now);
    free(file->kept);
    free(file->holes);
    *file = (struct file){ 0 };
}

static int fake_remove(struct io *io, const char *path)
{
    struct io_fake *f = fake_of(io);
    for (int i = 0; i < FILES_MAX; i++)
        if (f->files[i].used && strcmp(f->files[i].path, path) == 0)
            free_file(&f->files[i]);
    return 0;
}

static void queue(struct io *io, struct pending what)
{
    struct io_fake *f = fake_of(io);
    struct pending *p = malloc(sizeof *p);
    if (!p)
        abort(); /* A test without memory is no test. */
    *p = what;
    p->mark = f->mark;
    p->next = f->pending;
    f->pending = p;
    f->n_pending++;
}

static void fake_read(struct io *io, struct io_op *op, int file, void *buf,
                      uint32_t size, uint64_t offset)
{
    queue(io, (struct pending){ .kind = IO_FAKE_READ,
                                .op = op,
                                .file = file,
                                .read_to = buf,
                                .size = size,
                                .offset = offset });
}

static void fake_write(struct io *io, struct io_op *op, int file,
                       const void *buf, uint32_t size, uint64_t offset)
{
    uint8_t *copy = malloc(size);
    if (!copy)
        abort();
    memcpy(copy, buf, size);
    queue(io, (struct pending){ .kind = IO_FAKE_WRITE,
                                .op = op,
                                .file = file,
                                .data = copy,
                                .size = size,
                                .offset = offset });
}

static void fake_sync(struct io *io, struct io_op *op, int file)
{
    queue(io, (struct pending){ .kind = IO_FAKE_SYNC, .op = op, .file = file });
}

static void fake_allocate(struct io *io, struct io_op *op, int file,
                          uint64_t offset, uint64_t size)
{
    queue(io, (struct pending){ .kind = IO_FAKE_ALLOCATE,
                                .op = op,
                                .file = file,
                                .offset = offset,
                                .size = size });
}

static void fake_punch(struct io *io, struct io_op *op, int file,
                       uint64_t offset, uint64_t size)
{
    queue(io, (struct pending){ .kind = IO_FAKE_PUNCH,
                                .op = op,
                                .file = file,
                                .offset = offset,
                                .size = size });
}

static void fake_nop(struct io *io, struct io_op *op)
{
    queue(io, (struct pending){ .kind = IO_FAKE_NOP, .op = op });
}

static int allocate(struct io_fake *f, struct file *file, uint64_t offset,
                    uint64_t size)
{
    if (!has_room(f, file, offset, size))
        return -ENOSPC;
    if (grow_file(file, offset + size) < 0)
        return -ENOMEM;
    memset(file->holes + offset / PAGE, 0, size / PAGE);
    return 0;
}

static int perform(struct io_fake *f, struct pending *p)
{
    struct file *file = &f->files[p->file];
    f->counts[p->kind]++;
    if (f->faults[p->kind].nth && --f->faults[p->kind].nth == 0)
        return f->faults[p->kind].error;
    if (p->offset % PAGE || p->size % PAGE || (uintptr_t)p->read_to % PAGE)
        return -EINVAL;
    switch (p->kind) {
    case IO_FAKE_READ:
        return read_bytes(file, p->read_to, p->size, p->offset);
    case IO_FAKE_WRITE: {
        int r = change(f, file, p->data, p->offset, p->size, false);
        return r < 0 ? r : (int)p->size;
    }
    case IO_FAKE_SYNC:
        if (!f->lying)
            keep(file, p->mark);
        return 0;
    case IO_FAKE_ALLOCATE:
        return allocate(f, file, p->offset, p->size);
    case IO_FAKE_PUNCH:
        return change(f, file, NULL, p->offset, p->size, true);
    default:
        return 0;
    }
}

bool io_fake_run_one(struct io *io)
{
    struct io_fake *f = fake_of(io);
    if (!f->pending)
        return false;
    struct pending **at = &f->pending;
    for (uint64_t n = draw(f, f->n_pending); n > 0; n--)
        at = &(*at)->next;
    struct pending *p = *at;
    *at = p->next;
    f->n_pending--;
    int res = perform(f, p);
    struct io_op *op = p->op;
    free(p->data);
    free(p);
    op->done(op, res);
    return true;
}

void io_fake_run(struct io *io)
{
    while (io_fake_run_one(io))
        ;
}

unsigned io_fake_pending(const struct io *io)
{
    return fake_of(io)->n_pending;
}

static void forget_pending(struct io_fake *f)
{
    while (f->pending) {
        struct pending *p = f->pending;
        f->pending = p->next;
        free(p->data);
        free(p);
    }
    f->n_pending = 0;
}

static void crash_file(struct io_fake *f, struct file *file)
{
    for (struct change *c = file->changes; c; c = c->next) {
        uint64_t fate = draw(f, 3); /* Lost, kept, torn. */
        for (uint64_t at = 0; at < c->size; at += SECTOR)
            if (fate == 1 || (fate == 2 && draw(f, 2)))
                memcpy(file->kept + c->offset + at, c->data + at, SECTOR);
    }
    if (file->kept_size < file->size && draw(f, 2))
        file->kept_size = file->size; /* The length made it. */
    uint64_t size = file->kept_size;
    if (file->capacity) {
        memset(file->kept + size, 0, file->capacity - size);
        memcpy(file->now, file->kept, file->capacity);
    }
    file->size = size;
    while (file->changes) {
        struct change *c = file->changes;
        file->changes = c->next;
        free(c);
    }
    file->last = &file->changes;
}

void io_fake_kill(struct io *io)
{
    struct io_fake *f = fake_of(io);
    for (struct pending *p = f->pending; p; p = p->next)
        if (draw(f, 2))
            (void)perform(f, p);
    forget_pending(f);
}

static void free_maps(struct io_fake *f)
{
    for (int i = 0; i < FILES_MAX; i++) {
        free(f->maps[i].path);
        free(f->maps[i].mem);
        f->maps[i] = (struct mapping){ 0 };
    }
}

void io_fake_crash(struct io *io)
{
    struct io_fake *f = fake_of(io);
    /* Writes under way may have reached the platter, or a part of it. */
    for (struct pending *p = f->pending; p; p = p->next)
        if (p->kind == IO_FAKE_WRITE && draw(f, 2))
            (void)perform(f, p);
    forget_pending(f);
    /* The mapped file may be on a disk: some of it is still there. */
    for (int i = 0; i < FILES_MAX; i++)
        for (size_t at = 0; f->maps[i].mem && at < f->maps[i].size; at += 512)
            if (draw(f, 2))
                memset((uint8_t *)f->maps[i].mem + at, 0, 512);
    f->boot++;
    for (int i = 0; i < FILES_MAX; i++)
        if (f->files[i].used)
            crash_file(f, &f->files[i]);
}

void io_fake_fail(struct io *io, enum io_fake_kind kind, unsigned nth,
                  int error)
{
    fake_of(io)->faults[kind].nth = nth;
    fake_of(io)->faults[kind].error = error;
}

void io_fake_set_space(struct io *io, uint64_t bytes)
{
    fake_of(io)->space = bytes;
}

void io_fake_set_lying(struct io *io, bool lying)
{
    fake_of(io)->lying = lying;
}

void io_fake_rot(struct io *io, const char *path, uint64_t offset)
{
    struct io_fake *f = fake_of(io);
    for (int i = 0; i < FILES_MAX; i++) {
        struct file *file = &f->files[i];
        if (file->used && strcmp(file->path, path) == 0 &&
            offset < file->size) {
            file->now[offset] ^= 1;
            file->kept[offset] ^= 1;
        }
    }
}

uint64_t io_fake_count(const struct io *io, enum io_fake_kind kind)
{
    return fake_of(io)->counts[kind];
}

uint64_t io_fake_used(const struct io *io, const char *path)
{
    struct io_fake *f = fake_of(io);
    for (int i = 0; i < FILES_MAX; i++)
        if (f->files[i].used && strcmp(f->files[i].path, path) == 0)
            return used_of(&f->files[i]);
    return 0;
}

static void fake_free(struct io *io)
{
    struct io_fake *f = fake_of(io);
    forget_pending(f);
    free_maps(f);
    for (int i = 0; i < FILES_MAX; i++)
        if (f->files[i].used)
            free_file(&f->files[i]);
    free(f);
}

static const struct io_class io_fake_class = {
    .name = "fake",
    .free = fake_free,
    .open = fake_open,
    .close = fake_close,
    .size = fake_size,
    .read_now = fake_read_now,
    .sync_now = fake_sync_now,
    .mkdir = fake_names,
    .sync_dir = fake_names,
    .remove = fake_remove,
    .map = fake_map,
    .unmap = fake_unmap,
    .boot_id = fake_boot_id,
    .read = fake_read,
    .write = fake_write,
    .sync = fake_sync,
    .allocate = fake_allocate,
    .nop = fake_nop,
    .punch = fake_punch,
};

struct io *io_fake_new(uint64_t seed)
{
    struct io_fake *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->up.class = &io_fake_class;
    f->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    return &f->up;
}

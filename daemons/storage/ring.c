/* ring - see ring.h.
 *
 * An eventfd, signalled by the kernel, is a source of the loop; it is edge
 * triggered and never read.  (The ring's own descriptor would not wake us where
 * completions are deferred to us.)  Before the loop sleeps, its 'prepare' call
 * submits what other handlers queued.  Files are plain descriptors, opened
 * O_DIRECT where the file system can (tmpfs cannot). */
#include "storage/ring.h"

#include <fcntl.h>
#include <liburing.h>
#include <sys/epoll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>

enum {
    ENTRIES = 1024,
    BATCH = 256,
    TURN_US = 2000, /* Time in the ring before the loop is asked again. */
    LINGER_US = 30, /* Wait for the next completion while busy. */
};

struct ring {
    struct io up; /* Must be first. */
    struct io_uring uring;
    bool has_uring;
    int event_fd;
    sd_event_source *source; /* Owned. */
    uint64_t pending;        /* Operations begun and not completed. */
    bool running;
    struct ring_later *later, **later_end;
    struct ring_counters counters;
};

static struct ring *ring_of(struct io *io)
{
    return (struct ring *)io;
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void submit(struct ring *r)
{
    r->counters.enters++;
    int n = io_uring_submit(&r->uring);
    (void)n; /* -EAGAIN, -EBUSY: what is left goes with the next. */
}

static struct io_uring_sqe *next_sqe(struct ring *r, struct io_op *op)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);
    while (!sqe) {
        submit(r);
        sqe = io_uring_get_sqe(&r->uring);
    }
    if (op)
        r->pending++;
    return sqe;
}

static void set_op(struct io_uring_sqe *sqe, struct io_op *op)
{
    io_uring_sqe_set_data(sqe, op);
}

/* Handles what has completed; how many. */
static unsigned reap(struct ring *r)
{
    struct io_uring_cqe *cqes[BATCH];
    unsigned n = io_uring_peek_batch_cqe(&r->uring, cqes, BATCH);
    /* Copied first: a handler may begin much, and the kernel may want the
     * room of these. */
    struct {
        struct io_op *op;
        int res;
    } done[BATCH];
    for (unsigned i = 0; i < n; i++) {
        done[i].op = io_uring_cqe_get_data(cqes[i]);
        done[i].res = cqes[i]->res;
    }
    io_uring_cq_advance(&r->uring, n);
    for (unsigned i = 0; i < n; i++) {
        if (!done[i].op)
            continue;
        r->pending--;
        r->counters.ops++;
        done[i].op->done(done[i].op, done[i].res);
    }
    return n;
}

static void run_later(struct ring *r)
{
    while (r->later) {
        struct ring_later *l = r->later;
        r->later = l->next;
        if (!r->later)
            r->later_end = &r->later;
        l->queued = false;
        l->fn(l);
    }
}

void ring_defer(struct ring *r, struct ring_later *l)
{
    if (l->queued)
        return;
    l->queued = true;
    l->next = NULL;
    *r->later_end = l;
    r->later_end = &l->next;
}

void ring_forget(struct ring *r, struct ring_later *l)
{
    for (struct ring_later **p = &r->later; *p; p = &(*p)->next)
        if (*p == l) {
            *p = l->next;
            if (!*p)
                r->later_end = p;
            break;
        }
    l->queued = false;
}

/* Handles completions until there are none for a moment, or for TURN_US. */
static void work(struct ring *r, uint64_t end)
{
    struct __kernel_timespec linger = { .tv_nsec = LINGER_US * 1000 };
    for (;;) {
        unsigned n = 0, k;
        while ((k = reap(r)) > 0)
            n += k;
        run_later(r);
        if (n == 0 || r->pending == 0 || now_us() >= end)
            return;
        struct io_uring_cqe *cqe;
        r->counters.enters++;
        io_uring_submit_and_wait_timeout(&r->uring, &cqe, 1, &linger, NULL);
    }
}

static void turn(struct ring *r)
{
    if (r->running)
        return;
    r->running = true;
    uint64_t end = now_us() + TURN_US;
    /* No wake-ups while we look by ourselves; then once more, for what came
     * in between. */
    io_uring_cq_eventfd_toggle(&r->uring, false);
    work(r, end);
    if (io_uring_sq_ready(&r->uring))
        submit(r);
    io_uring_cq_eventfd_toggle(&r->uring, true);
    /* The kernel must see that before we look, or it tells nobody. */
    atomic_thread_fence(memory_order_seq_cst);
    while (reap(r) > 0)
        run_later(r);
    if (io_uring_sq_ready(&r->uring))
        submit(r);
    r->running = false;
}

void ring_turn(struct ring *r, unsigned ms)
{
    struct __kernel_timespec t = { .tv_sec = ms / 1000,
                                   .tv_nsec = (long)(ms % 1000) * 1000000 };
    struct io_uring_cqe *cqe;
    run_later(r);
    io_uring_submit_and_wait_timeout(&r->uring, &cqe, 1, &t, NULL);
    while (reap(r) > 0)
        run_later(r);
}

static int on_ready(sd_event_source *s, int fd, uint32_t events, void *arg)
{
    (void)s;
    (void)fd;
    (void)events;
    turn(arg);
    return 0;
}

static int on_prepare(sd_event_source *s, void *arg)
{
    (void)s;
    struct ring *r = arg;
    run_later(r);
    if (io_uring_sq_ready(&r->uring))
        submit(r);
    /* Never sleep over a completion, whoever should have told. */
    bool more = io_uring_cq_ready(&r->uring) > 0 ||
                (IO_URING_READ_ONCE(*r->uring.sq.kflags) & IORING_SQ_TASKRUN);
    uint64_t one = 1;
    if (more && write(r->event_fd, &one, sizeof one) < 0)
        return -errno;
    return 0;
}

/* --- files, at once ----------------------------------------------------- */
static int file_open(struct io *io, const char *path, bool create)
{
    (void)io;
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0);
    int fd = open(path, flags | O_DIRECT, 0600);
    if (fd < 0 && errno == EINVAL)
        fd = open(path, flags, 0600);
    return fd < 0 ? -errno : fd;
}

static void file_close(struct io *io, int file)
{
    (void)io;
    close(file);
}

static int64_t file_size(struct io *io, int file)
{
    (void)io;
    struct stat st;
    return fstat(file, &st) < 0 ? -errno : st.st_size;
}

static long file_read_now(struct io *io, int file, void *buf, size_t size,
                          uint64_t offset)
{
    (void)io;
    ssize_t n = pread(file, buf, size, (off_t)offset);
    return n < 0 ? -errno : n;
}

static int file_sync_now(struct io *io, int file)
{
    (void)io;
    return fdatasync(file) < 0 ? -errno : 0;
}

static int folder_make(struct io *io, const char *path)
{
    (void)io;
    return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int folder_sync(struct io *io, const char *path)
{
    (void)io;
    /* Its own name is in the folder above. */
    char up[4096];
    int n = snprintf(up, sizeof up, "%s/..", path);
    if (n < 0 || (size_t)n >= sizeof up)
        return -ENAMETOOLONG;
    const char *const both[] = { path, up };
    for (int i = 0; i < 2; i++) {
        SC_AUTO(close)
        int fd = open(both[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
            return -errno;
    }
    return 0;
}

static int path_remove(struct io *io, const char *path)
{
    (void)io;
    return remove(path) < 0 ? -errno : 0;
}

static int file_map(struct io *io, const char *path, size_t size, void **ret)
{
    (void)io;
    SC_AUTO(close)
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        return -errno;
    void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mem == MAP_FAILED)
        return -errno;
    *ret = mem;
    return 0;
}

static void file_unmap(struct io *io, void *mem, size_t size)
{
    (void)io;
    munmap(mem, size);
}

static int machine_boot_id(struct io *io, uint8_t ret[IO_BOOT_ID])
{
    (void)io;
    char text[64] = "";
    SC_AUTO(fclose)
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!f || !fgets(text, sizeof text, f))
        return -EIO;
    unsigned n = 0;
    for (const char *p = text; *p && n < IO_BOOT_ID; p += 2) {
        unsigned byte;
        if (*p == '-')
            p++;
        if (sscanf(p, "%2x", &byte) != 1)
            return -EIO;
        ret[n++] = (uint8_t)byte;
    }
    return n == IO_BOOT_ID ? 0 : -EIO;
}

/* --- operations --------------------------------------------------------- */
void ring_read_fd(struct ring *r, struct io_op *op, int fd, void *buf,
                  uint32_t size, uint64_t offset)
{
    struct io_uring_sqe *sqe = next_sqe(r, op);
    io_uring_prep_read(sqe, fd, buf, size, offset);
    set_op(sqe, op);
}

void ring_write_fd(struct ring *r, struct io_op *op, int fd, const void *buf,
                   uint32_t size, uint64_t offset)
{
    struct io_uring_sqe *sqe = next_sqe(r, op);
    io_uring_prep_write(sqe, fd, buf, size, offset);
    set_op(sqe, op);
}

void ring_fsync_fd(struct ring *r, struct io_op *op, int fd)
{
    struct io_uring_sqe *sqe = next_sqe(r, op);
    io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    set_op(sqe, op);
}

static void op_read(struct io *io, struct io_op *op, int file, void *buf,
                    uint32_t size, uint64_t offset)
{
    ring_read_fd(ring_of(io), op, file, buf, size, offset);
}

static void op_write(struct io *io, struct io_op *op, int file, const void *buf,
                     uint32_t size, uint64_t offset)
{
    ring_write_fd(ring_of(io), op, file, buf, size, offset);
}

static void op_sync(struct io *io, struct io_op *op, int file)
{
    ring_fsync_fd(ring_of(io), op, file);
}

static void op_allocate(struct io *io, struct io_op *op, int file,
                        uint64_t offset, uint64_t size)
{
    struct io_uring_sqe *sqe = next_sqe(ring_of(io), op);
    io_uring_prep_fallocate(sqe, file, 0, (off_t)offset, (off_t)size);
    set_op(sqe, op);
}

static void op_punch(struct io *io, struct io_op *op, int file, uint64_t offset,
                     uint64_t size)
{
    struct io_uring_sqe *sqe = next_sqe(ring_of(io), op);
    io_uring_prep_fallocate(sqe, file,
                            FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            (off_t)offset, (off_t)size);
    set_op(sqe, op);
}

static void op_nop(struct io *io, struct io_op *op)
{
    struct io_uring_sqe *sqe = next_sqe(ring_of(io), op);
    io_uring_prep_nop(sqe);
    set_op(sqe, op);
}

void ring_recv(struct ring *r, struct io_op *op, int fd, void *buf, size_t size)
{
    struct io_uring_sqe *sqe = next_sqe(r, op);
    io_uring_prep_recv(sqe, fd, buf, size, 0);
    set_op(sqe, op);
}

void ring_recvmsg(struct ring *r, struct io_op *op, int fd, struct msghdr *msg)
{
    struct io_uring_sqe *sqe = next_sqe(r, op);
    io_uring_prep_recvmsg(sqe, fd, msg, 0);
    set_op(sqe, op);
}

void ring_sendmsg(struct ring *r, struct io_op *op, int fd,
                  const struct msghdr *msg)
{
    struct io_uring_sqe *sqe = next_sqe(r, op);
    io_uring_prep_sendmsg(sqe, fd, msg, MSG_NOSIGNAL | MSG_WAITALL);
    set_op(sqe, op);
}

void ring_accept(struct ring *r, struct io_op *op, int fd)
{
    struct io_uring_sqe *sqe = next_sqe(r, op);
    io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
    set_op(sqe, op);
}

void ring_cancel(struct ring *r, struct io_op *op)
{
    struct io_uring_sqe *sqe = next_sqe(r, NULL);
    io_uring_prep_cancel(sqe, op, 0);
    set_op(sqe, NULL);
}

struct ring_counters ring_counters(const struct ring *r)
{
    return r->counters;
}

struct io *ring_io(struct ring *r)
{
    return &r->up;
}

void ring_free(struct ring *r)
{
    if (!r)
        return;
    sd_event_source_disable_unref(r->source);
    if (r->has_uring)
        io_uring_queue_exit(&r->uring);
    if (r->event_fd >= 0)
        close(r->event_fd);
    free(r);
}

static void ring_free_io(struct io *io)
{
    ring_free(ring_of(io));
}

static const struct io_class ring_class = {
    .name = "io_uring",
    .free = ring_free_io,
    .open = file_open,
    .close = file_close,
    .size = file_size,
    .read_now = file_read_now,
    .sync_now = file_sync_now,
    .mkdir = folder_make,
    .sync_dir = folder_sync,
    .remove = path_remove,
    .map = file_map,
    .unmap = file_unmap,
    .boot_id = machine_boot_id,
    .read = op_read,
    .write = op_write,
    .sync = op_sync,
    .allocate = op_allocate,
    .nop = op_nop,
    .punch = op_punch,
};

int ring_new(struct sc_loop *loop, struct ring **ret, struct sc_err *err)
{
    SC_AUTO(ring_free) struct ring *r = calloc(1, sizeof *r);
    if (!r)
        return sc_fail(err, -ENOMEM, "io_uring: out of memory");
    r->up.class = &ring_class;
    r->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->event_fd < 0)
        return sc_fail(err, -errno, "eventfd: %s", strerror(errno));
    r->later_end = &r->later;
    /* The newest ways first; a kernel that lacks one says -EINVAL. */
    static const unsigned flags[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
            IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
            IORING_SETUP_CQSIZE,
        IORING_SETUP_CQSIZE,
    };
    int res = -EINVAL;
    for (size_t i = 0; i < SC_ARRAY_LEN(flags) && res == -EINVAL; i++) {
        struct io_uring_params p = { .flags = flags[i],
                                     .cq_entries = ENTRIES * 8 };
        res = io_uring_queue_init_params(ENTRIES, &r->uring, &p);
    }
    if (res < 0)
        return sc_fail(err, res, "io_uring: %s", strerror(-res));
    r->has_uring = true;
    res = io_uring_register_eventfd(&r->uring, r->event_fd);
    if (res >= 0)
        res = sd_event_add_io(sc_loop_event(loop), &r->source, r->event_fd,
                              EPOLLIN | EPOLLET, on_ready, r);
    if (res >= 0)
        res = sd_event_source_set_prepare(r->source, on_prepare);
    if (res < 0)
        return sc_fail(err, res, "io_uring: loop: %s", strerror(-res));
    *ret = SC_TAKE(r);
    return 0;
}

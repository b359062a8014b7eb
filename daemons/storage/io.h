/* io - asynchronous operations on files, as the block store needs them.
 *
 * Two drivers: ring.c (io_uring, the product) and io_fake.c (memory, with
 * crashes, torn writes and errors, for unit tests).  Not thread-safe.
 * Files are small numbers >= 0.  Buffers, offsets and sizes of reads and
 * writes are multiples of 4096 (O_DIRECT), and stay the caller's, unchanged,
 * until 'done'.
 * 'done' is called exactly once, never from inside the call that began the
 * operation, with the result: bytes moved, or 0, or -errno.  A read past the
 * end of the file moves fewer bytes. */
#ifndef SC_STORAGE_IO_H
#define SC_STORAGE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IO_BOOT_ID = 16 };

struct io;
struct io_op;
typedef void io_done_fn(struct io_op *op, int res);
struct io_op { /* Embedded in the caller's; must live until 'done'. */
    io_done_fn *done;
    uint64_t sync_mark; /* The fake's. */
    uint32_t sync_file;
};

struct io_class {
    const char *name;
    void (*free)(struct io *io); /* Nothing may be under way. */

    /* At once; for opening and making volumes.  A file (>= 0) or -errno. */
    int (*open)(struct io *io, const char *path, bool create);
    void (*close)(struct io *io, int file);
    int64_t (*size)(struct io *io, int file);
    long (*read_now)(struct io *io, int file, void *buf, size_t size,
                     uint64_t offset);
    int (*sync_now)(struct io *io, int file);
    int (*mkdir)(struct io *io, const char *path);    /* Existing: 0. */
    int (*sync_dir)(struct io *io, const char *path); /* Names durable. */
    int (*remove)(struct io *io, const char *path); /* File or empty folder. */

    /* Memory shared with a file of 'size' bytes (made if need be, zeros at
     * first): it outlives the process, not the machine.  0 or -errno. */
    int (*map)(struct io *io, const char *path, size_t size, void **ret);
    void (*unmap)(struct io *io, void *mem, size_t size);
    /* Differs after each start of the machine. */
    int (*boot_id)(struct io *io, uint8_t ret[IO_BOOT_ID]);

    void (*read)(struct io *io, struct io_op *op, int file, void *buf,
                 uint32_t size, uint64_t offset);
    void (*write)(struct io *io, struct io_op *op, int file, const void *buf,
                  uint32_t size, uint64_t offset);
    /* Everything written before this call is durable once it has succeeded. */
    void (*sync)(struct io *io, struct io_op *op, int file);
    /* Makes the file at least offset + size long, with space kept for it. */
    void (*allocate)(struct io *io, struct io_op *op, int file, uint64_t offset,
                     uint64_t size);
    /* Does nothing, and says so later with 0. */
    void (*nop)(struct io *io, struct io_op *op);
    /* Gives space back; the bytes read as zeros. */
    void (*punch)(struct io *io, struct io_op *op, int file, uint64_t offset,
                  uint64_t size);
};
struct io {
    const struct io_class *class;
};

static inline void io_free(struct io *io)
{
    if (io)
        io->class->free(io);
}

#endif

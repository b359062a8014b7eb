/* io_fake - files in memory with the manners of a bad disk, for unit tests.
 *
 * Operations complete only in io_fake_run, in an order drawn from the seed.
 * What was not synced is at the mercy of io_fake_crash: each unsynced write is
 * kept, lost, or torn at 512 byte sectors, by the seed.  Pure memory; not
 * thread-safe.  Offsets that are not multiples of 4096 are refused as O_DIRECT
 * does (-EINVAL). */
#ifndef SC_STORAGE_IO_FAKE_H
#define SC_STORAGE_IO_FAKE_H

#include "storage/io.h"

enum io_fake_kind {
    IO_FAKE_READ,
    IO_FAKE_WRITE,
    IO_FAKE_SYNC,
    IO_FAKE_ALLOCATE,
    IO_FAKE_PUNCH,
    IO_FAKE_NOP,
    IO_FAKE_N_KINDS
};

struct io *io_fake_new(uint64_t seed); /* NULL: out of memory. */
/* Completes one operation; false: there was none. */
bool io_fake_run_one(struct io *io);
/* Completes all, and those that they begin. */
void io_fake_run(struct io *io);
unsigned io_fake_pending(const struct io *io);
/* The process is killed: operations under way are forgotten, done or not; files
 * and mapped memory stay as the process left them. */
void io_fake_kill(struct io *io);
/* The power fails: mapped memory is gone, operations under way are forgotten,
 * files lose what was not synced.  Files that are open stay open numbers. */
void io_fake_crash(struct io *io);
/* The 'nth' (1: the next) operation of 'kind' from now fails with 'error'. */
void io_fake_fail(struct io *io, enum io_fake_kind kind, unsigned nth,
                  int error);
/* Bytes all files may take together; 0: any. */
void io_fake_set_space(struct io *io, uint64_t bytes);
/* A disk that lies: syncs succeed and do nothing. */
void io_fake_set_lying(struct io *io, bool lying);
/* Flips one bit of a file, in what is durable too. */
void io_fake_rot(struct io *io, const char *path, uint64_t offset);
uint64_t io_fake_count(const struct io *io, enum io_fake_kind kind);
/* Bytes that are not holes in 'path'. */
uint64_t io_fake_used(const struct io *io, const char *path);

#endif

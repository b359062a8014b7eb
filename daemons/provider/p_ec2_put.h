/* p_ec2_put - blocks on their way to a snapshot, several at once.
 *
 * Used by p_ec2_publish: one after the other, each block would wait for the
 * network's round trip.  A few threads, each with its own connection and one
 * block; the caller's thread hands blocks over in order and alone speaks to the
 * provider's hooks, but for 'cancelled', which threads ask too.
 * Errors: the first of any thread's, from whichever call comes next; then
 * nothing more is begun. */
#ifndef SC_PROVIDER_P_EC2_PUT_H
#define SC_PROVIDER_P_EC2_PUT_H

#include "provider/p_ec2.h"

enum {
    EC2_BLOCK = 512 << 10, /* bytes */
    EC2_HASH = 32,
    EC2_PUTS = 8,         /* At once. */
    EC2_LOOKS_FRESH = 15, /* At a snapshot the service does not know yet. */
};

struct ec2_put;
/* To blocks of 'snapshot' (both strings are borrowed), 'n_blocks' in all. */
int ec2_put_new(const struct p_ec2 *p, const char *region, const char *snapshot,
                uint64_t n_blocks, struct ec2_put **ret,
                struct sc_err *err) SC_MUST_CHECK;
/* Waits for those under way. */
void ec2_put_free(struct ec2_put *u); /* NULL is allowed. */
SC_CLEANUP(struct ec2_put, ec2_put_free)
/* Hands block 'i' over, EC2_BLOCK bytes at 'data', which are copied, with their
 * SHA-256; waits while all threads are busy. */
int ec2_put_block(struct ec2_put *u, uint64_t i, const void *data,
                  const unsigned char hash[EC2_HASH],
                  struct sc_err *err) SC_MUST_CHECK;
/* Until all are there. */
int ec2_put_wait(struct ec2_put *u, struct sc_err *err) SC_MUST_CHECK;
/* All blocks handed over that are before this one are there; 'next' if none
 * is under way. */
uint64_t ec2_put_first_open(struct ec2_put *u, uint64_t next);

#endif

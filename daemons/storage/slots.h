/* slots - which blocks of a data file are free.
 *
 * One per open volume.  Next-fit, so that scattered writes of a guest become
 * runs in the file.  Pure; not thread-safe.
 * A slot is free, or used; a free one may be 'backed' (the file system still
 * keeps space for it) until it is punched. */
#ifndef SC_STORAGE_SLOTS_H
#define SC_STORAGE_SLOTS_H

#include "common/clean.h"

#include <stdbool.h>
#include <stdint.h>

struct slots;
struct slots *slots_new(void); /* Of no slots.  NULL: out of memory. */
void slots_free(struct slots *s);
SC_CLEANUP(struct slots, slots_free)

/* Makes it 'n' slots (never fewer than before); new ones are free and backed.
 * 0 or -ENOMEM (unchanged). */
int slots_grow(struct slots *s, uint32_t n) SC_MUST_CHECK;
uint32_t slots_size(const struct slots *s);
uint32_t slots_n_free(const struct slots *s);
uint32_t slots_n_spare(const struct slots *s); /* Free and backed. */

/* Takes a run of 1 to 'want' free slots; its length, 0: none is free. */
uint32_t slots_take(struct slots *s, uint32_t want, uint32_t *ret_first);
/* Takes this very slot.  False: it is used or does not exist. */
bool slots_take_at(struct slots *s, uint32_t slot);
void slots_give(struct slots *s, uint32_t first, uint32_t n); /* All used. */

/* Takes a run of free and backed slots (at least 'min', at most 'max') so that
 * it can be punched, after which slots_give_punched.  Its length, or 0. */
uint32_t slots_take_spare(struct slots *s, uint32_t min, uint32_t max,
                          uint32_t *ret_first);
void slots_give_punched(struct slots *s, uint32_t first, uint32_t n);

#endif

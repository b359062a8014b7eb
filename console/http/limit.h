/* limit - how often a key (an address, a user's name) may try something.
 *
 * A bucket of 'burst' tries a key; one comes back every 'refill_ms'.  Holds at
 * most LIMIT_KEYS keys: full, the one nearest to a full bucket is forgotten.
 * Pure but for its own memory: 'now' (ms, any clock that does not go back) is
 * an argument.  Not thread-safe. */
#ifndef SC_HTTP_LIMIT_H
#define SC_HTTP_LIMIT_H

#include "common/clean.h"

#include <stdint.h>

enum { LIMIT_KEYS = 4096 };

struct limit;
struct limit *limit_new(unsigned burst, uint64_t refill_ms); /* NULL: memory. */
void limit_free(struct limit *l);
SC_CLEANUP(struct limit, limit_free)

/* Takes one try of 'key'.  0: granted; else ms until there is one again. */
uint64_t limit_take(struct limit *l, const char *key, uint64_t now);
/* ms until limit_take would grant; takes nothing. */
uint64_t limit_wait(const struct limit *l, const char *key, uint64_t now);
/* Gives one try back: it was not a failure. */
void limit_give(struct limit *l, const char *key);
/* All tries are back (after a success). */
void limit_clear(struct limit *l, const char *key);

#endif

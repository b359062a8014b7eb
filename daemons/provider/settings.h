/* settings - how a driver takes an account's settings into its own struct.
 *
 * Used by the drivers that speak HTTP.  A table says which field goes where;
 * provider.c has checked before that every required field is there and none is
 * unknown.  Pure, but for settings_web. */
#ifndef SC_PROVIDER_SETTINGS_H
#define SC_PROVIDER_SETTINGS_H

#include "common/json.h"
#include "provider/provider-class.h"
#include "provider/web.h"

#include <stddef.h>

enum { SETTING_MAX = 2000 }; /* bytes */

struct setting {
    const char *name;
    size_t at;       /* offsetof() of a char * in the driver's struct. */
    const char *def; /* If it is absent or ""; NULL: the pointer stays NULL. */
    size_t min, max; /* bytes; a 'min' makes it required, a 'max' of 0 is
                        SETTING_MAX. */
    bool trim;       /* '/' at its end goes: URLs. */
};
/* Fills the pointers in 'base', all NULL before, by the table 's' (its end has
 * a NULL name).  What 'r' objects to is left to its json_done.  0 or -ENOMEM.
 * The strings are the driver's, for settings_clear even after an error. */
int settings_read(const struct setting *s, struct json_reader *r, void *base,
                  struct sc_err *err) SC_MUST_CHECK;
/* Overwrites (secrets are among them) and frees. */
void settings_clear(const struct setting *s, void *base);

/* The requests of 'up', which its hooks can cancel.  'o' has the rest. */
int settings_web(struct provider *up, struct web_options o, struct web **ret,
                 struct sc_err *err) SC_MUST_CHECK;

/* Lists are "a, b" or "a b".  The first of 'asked', or of 'list' if that is
 * NULL or "".  -EINVAL: there is none, or it is longer than 63; 'what' ("gce:
 * region") begins the text. */
int settings_first(const char *what, const char *asked, const char *list,
                   char ret[64], struct sc_err *err) SC_MUST_CHECK;
/* Is 'name' (in any case) in 'list'?  No list has all. */
bool settings_listed(const char *list, const char *name);

#endif

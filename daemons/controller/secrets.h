/* secrets - the providers' credentials and other secret texts, encrypted at
 * rest (XChaCha20-Poly1305 by libsodium).
 *
 * Used by sc-controller alone.  The key is <pki_dir>/secrets.key
 * (common/key_file.h), so that the store, a backup of it or a look into it
 * opens nothing.  What is sealed is bound to a name (the id of what it belongs
 * to): moved to another record it does not open.  Not thread-safe. */
#ifndef SC_CONTROLLER_SECRETS_H
#define SC_CONTROLLER_SECRETS_H

#include "common/err.h"

#include <cjson/cJSON.h>
#include <stdint.h>

struct secrets;
/* Reads the key of 'pki_dir', makes it if there is none.  0 or -errno. */
int secrets_open(const char *pki_dir, struct secrets **ret,
                 struct sc_err *err) SC_MUST_CHECK;
void secrets_close(struct secrets *s); /* Wipes the key.  NULL is allowed. */
SC_CLEANUP(struct secrets, secrets_close)

/* 'text' sealed for 'name': base64, malloc'd.  -ENOMEM. */
int secrets_seal(const struct secrets *s, const char *name, const char *text,
                 char **ret, struct sc_err *err) SC_MUST_CHECK;
/* The text again, malloc'd; free it with secrets_free_text.  -EBADMSG: damaged,
 * of another name, or sealed by another key. */
int secrets_unseal(const struct secrets *s, const char *name,
                   const char *sealed, char **ret,
                   struct sc_err *err) SC_MUST_CHECK;
void secrets_free_text(char *text); /* Wipes it.  NULL is allowed. */
SC_CLEANUP(char, secrets_free_text)

#endif

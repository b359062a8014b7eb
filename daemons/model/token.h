/* token - what lets a machine join: "sct1.<id>.<secret>.<pin of the CA>".
 *
 * Used by sc-controller.  The store keeps only the secret's SHA-256, so
 * a stolen store admits nobody.  Pure but for token_new's randomness.
 * Units: _at ms since 1970.  'uses' 0: any number. */
#ifndef SC_MODEL_TOKEN_H
#define SC_MODEL_TOKEN_H

#include "common/tls.h"
#include "model/objects.h"

enum { TOKEN_ID = 17, TOKEN_SECRET = 65, TOKEN_TEXT = 192 };

struct token {
    char id[TOKEN_ID]; /* 16 hex digits. */
    char secret_sha256[65];
    char region[OBJ_NAME], provider[OBJ_NAME]; /* "": any. */
    char role[16];                             /* "node" */
    char created_by[OBJ_NAME];
    uint64_t created_at, expires_at;
    uint32_t uses, used;
};
struct token_parts {
    char id[TOKEN_ID], secret[TOKEN_SECRET], pin[TLS_PIN_LEN + 1];
};

/* Fills id and secret_sha256 of 't' and writes the text to show once.
 * 0 or -EIO (no randomness). */
int token_new(struct token *t, const char *pin, char ret_text[TOKEN_TEXT],
              struct sc_err *err) SC_MUST_CHECK;
/* -EACCES: it has not the form of a token. */
int token_parse(const char *text, struct token_parts *ret,
                struct sc_err *err) SC_MUST_CHECK;
/* What a joiner claims; "" where it says nothing. */
struct token_claim {
    const char *role, *region, *provider;
};
/* May the bearer of 'p' join at 'now'?  -EACCES (forged, of another
 * Supercloud, or for another role, region or provider), -ETIME, -EALREADY
 * (used up).  The secret is compared in constant time, and first. */
int token_check(const struct token *t, const struct token_parts *p,
                const char *pin, const struct token_claim *claim, uint64_t now,
                struct sc_err *err) SC_MUST_CHECK;

cJSON *token_to_json(const struct token *t);     /* As stored. */
cJSON *token_public_json(const struct token *t); /* Without the hash. */
int token_from_json(const cJSON *j, struct token *ret,
                    struct sc_err *err) SC_MUST_CHECK;

#endif

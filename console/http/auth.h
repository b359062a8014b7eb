/* auth - passwords, secrets, and the rules of a session's life.
 *
 * Passwords: Argon2id by libsodium, 64 MiB each, so at most two are computed
 * at once (auth_password_* block; worker threads only).  Secrets are 32 random
 * bytes in hex; only their SHA-256 is ever stored.  The rest is pure.
 * Units: ms since 1970. */
#ifndef SC_HTTP_AUTH_H
#define SC_HTTP_AUTH_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    AUTH_HASH_SIZE = 128,      /* With the NUL; crypto_pwhash_STRBYTES. */
    AUTH_SECRET_LEN = 64,      /* hex digits */
    AUTH_PASSWORD_MIN = 8,     /* bytes */
    AUTH_PASSWORD_MAX = 1024,  /* bytes */
    AUTH_TOUCH_MS = 30 * 1000, /* How exactly "last used" is kept, or
                                   a quarter of what may be unused. */
};

/* 0; -EINVAL: too short or too long; -ENOMEM. */
int auth_password_hash(const char *password, char ret[AUTH_HASH_SIZE],
                       struct sc_err *err) SC_MUST_CHECK;
/* 'hash' NULL (no such user) takes as long as a wrong password. */
bool auth_password_ok(const char *password, const char *hash);

int auth_secret_new(char ret[AUTH_SECRET_LEN + 1]) SC_MUST_CHECK;
/* The session's id: SHA-256 of 'secret', in hex. */
void auth_secret_id(const char *secret, char ret[AUTH_SECRET_LEN + 1]);
/* Compares without telling by its duration where they differ. */
bool auth_equal(const char *a, const char *b);

struct auth_session {
    uint64_t created_at, used_at;
    uint64_t expires_at; /* 0: never (API tokens without an end). */
    uint64_t idle_ms;    /* 0: no idle limit. */
};
enum auth_verdict {
    AUTH_GOOD,
    AUTH_TOUCH, /* Good, and 'used_at' is old enough to be written anew. */
    AUTH_EXPIRED,
    AUTH_IDLE,
};
/* A clock that went back (now < used_at) ends nothing. */
enum auth_verdict auth_session_check(const struct auth_session *s,
                                     uint64_t now);

#endif

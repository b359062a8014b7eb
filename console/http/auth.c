/* auth - see auth.h. */
#include "http/auth.h"

#include <pthread.h>
#include <semaphore.h>
#include <sodium.h>
#include <string.h>

_Static_assert(AUTH_HASH_SIZE == crypto_pwhash_STRBYTES, "hash size");

/* Memory is what Argon2id costs: two at a time bound it at 128 MiB, whatever
 * strangers post to /login.  Not state: a property of the machine. */
static sem_t gate;
static pthread_once_t gate_once = PTHREAD_ONCE_INIT;

static void gate_init(void)
{
    if (sodium_init() < 0)
        abort(); /* No randomness on this machine: nothing would be safe. */
    sem_init(&gate, 0, 2);
}

static void gate_enter(void)
{
    pthread_once(&gate_once, gate_init);
    while (sem_wait(&gate) < 0 && errno == EINTR)
        ;
}

int auth_password_hash(const char *password, char ret[AUTH_HASH_SIZE],
                       struct sc_err *err)
{
    size_t len = strlen(password);
    if (len < AUTH_PASSWORD_MIN || len > AUTH_PASSWORD_MAX)
        return sc_fail(err, -EINVAL, "password: needs %d to %d bytes, has %zu",
                       AUTH_PASSWORD_MIN, AUTH_PASSWORD_MAX, len);
    gate_enter();
    int r = crypto_pwhash_str(ret, password, len,
                              crypto_pwhash_OPSLIMIT_INTERACTIVE,
                              crypto_pwhash_MEMLIMIT_INTERACTIVE);
    sem_post(&gate);
    return r == 0 ? 0 : sc_fail(err, -ENOMEM, "password: out of memory");
}

bool auth_password_ok(const char *password, const char *hash)
{
    /* Of a random password, with the parameters of all others. */
    static const char nobody[] =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$"
        "RdescudvJCsgt3ub+b4dWRWJTmaaJObGIXRnBcrcXZg";
    size_t len = strlen(password);
    if (len > AUTH_PASSWORD_MAX)
        return false;
    gate_enter();
    int r = crypto_pwhash_str_verify(hash ? hash : nobody, password, len);
    sem_post(&gate);
    return hash && r == 0;
}

int auth_secret_new(char ret[AUTH_SECRET_LEN + 1])
{
    unsigned char raw[AUTH_SECRET_LEN / 2];
    pthread_once(&gate_once, gate_init);
    randombytes_buf(raw, sizeof raw);
    sodium_bin2hex(ret, AUTH_SECRET_LEN + 1, raw, sizeof raw);
    sodium_memzero(raw, sizeof raw);
    return 0;
}

void auth_secret_id(const char *secret, char ret[AUTH_SECRET_LEN + 1])
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, (const unsigned char *)secret, strlen(secret));
    sodium_bin2hex(ret, AUTH_SECRET_LEN + 1, digest, sizeof digest);
}

bool auth_equal(const char *a, const char *b)
{
    size_t len = strlen(a);
    return len == strlen(b) && sodium_memcmp(a, b, len) == 0;
}

enum auth_verdict auth_session_check(const struct auth_session *s, uint64_t now)
{
    if (s->expires_at && now >= s->expires_at)
        return AUTH_EXPIRED;
    uint64_t unused_ms = now > s->used_at ? now - s->used_at : 0;
    if (s->idle_ms && unused_ms >= s->idle_ms)
        return AUTH_IDLE;
    uint64_t touch_ms = AUTH_TOUCH_MS;
    if (s->idle_ms && s->idle_ms / 4 < touch_ms)
        touch_ms = s->idle_ms / 4;
    return unused_ms >= touch_ms ? AUTH_TOUCH : AUTH_GOOD;
}

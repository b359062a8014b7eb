#include "model/token.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static void to_hex(const uint8_t *data, size_t size, char *ret)
{
    for (size_t i = 0; i < size; i++)
        sprintf(ret + 2 * i, "%02x", data[i]);
}

int token_new(struct token *t, const char *pin, char ret_text[TOKEN_TEXT],
              struct sc_err *err)
{
    uint8_t id[(TOKEN_ID - 1) / 2], secret[(TOKEN_SECRET - 1) / 2];
    char secret_text[TOKEN_SECRET];
    if (tls_random(id, sizeof id) < 0 || tls_random(secret, sizeof secret) < 0)
        return sc_fail(err, -EIO, "token: no random numbers");
    to_hex(id, sizeof id, t->id);
    to_hex(secret, sizeof secret, secret_text);
    tls_sha256_hex(secret_text, TOKEN_SECRET - 1, t->secret_sha256);
    snprintf(ret_text, TOKEN_TEXT, "sct1.%s.%s.%s", t->id, secret_text, pin);
    return 0;
}

/* Takes 'len' hex digits and the character after them. */
static bool take_hex(const char **p, size_t len, char after, char *ret)
{
    if (strspn(*p, "0123456789abcdef") != len || (*p)[len] != after)
        return false;
    memcpy(ret, *p, len);
    ret[len] = '\0';
    *p += len + 1;
    return true;
}

int token_parse(const char *text, struct token_parts *ret, struct sc_err *err)
{
    const char *p = text + 5;
    struct token_parts parts = { 0 };
    if (strncmp(text, "sct1.", 5) != 0 ||
        !take_hex(&p, TOKEN_ID - 1, '.', parts.id) ||
        !take_hex(&p, TOKEN_SECRET - 1, '.', parts.secret) ||
        !take_hex(&p, TLS_PIN_LEN, '\0', parts.pin))
        return sc_fail(err, -EACCES,
                       "token: is not of the form "
                       "sct1.<id>.<secret>.<pin of the CA>");
    *ret = parts;
    return 0;
}

static bool same(const char *a, const char *b, size_t size)
{
    unsigned char differ = 0;
    for (size_t i = 0; i < size; i++)
        differ |= (unsigned char)(a[i] ^ b[i]);
    return differ == 0;
}

static void format_time(uint64_t at, char ret[32])
{
    time_t s = (time_t)(at / 1000);
    struct tm tm;
    if (!gmtime_r(&s, &tm) || !strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(ret, 32, "%" PRIu64 " ms", at);
}

static int check_claim(const char *what, const char *is, const char *wanted,
                       struct sc_err *err)
{
    if (is[0] && wanted[0] && strcmp(is, wanted) != 0)
        return sc_fail(err, -EACCES, "token: is for %s '%s', not '%s'", what,
                       is, wanted);
    return 0;
}

int token_check(const struct token *t, const struct token_parts *p,
                const char *pin, const struct token_claim *claim, uint64_t now,
                struct sc_err *err)
{
    char digest[65], when[32];
    tls_sha256_hex(p->secret, TOKEN_SECRET - 1, digest);
    if (!same(digest, t->secret_sha256, 64))
        return sc_fail(err, -EACCES, "token '%s': its secret is wrong", t->id);
    if (strcmp(p->pin, pin) != 0)
        return sc_fail(err, -EACCES,
                       "token '%s': its CA pin is not this Supercloud's",
                       t->id);
    if (now >= t->expires_at) {
        format_time(t->expires_at, when);
        return sc_fail(err, -ETIME, "token '%s': expired at %s; make a new one",
                       t->id, when);
    }
    if (t->uses && t->used >= t->uses)
        return sc_fail(err, -EALREADY,
                       "token '%s': was good for %" PRIu32
                       " use%s and is used up; make a new one",
                       t->id, t->uses, t->uses == 1 ? "" : "s");
    int r = check_claim("role", t->role, claim->role, err);
    if (r == 0)
        r = check_claim("region", t->region, claim->region, err);
    if (r == 0)
        r = check_claim("provider", t->provider, claim->provider, err);
    return r;
}

cJSON *token_public_json(const struct token *t)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "id", t->id);
    cJSON_AddStringToObject(j, "region", t->region);
    cJSON_AddStringToObject(j, "provider", t->provider);
    cJSON_AddStringToObject(j, "role", t->role);
    cJSON_AddStringToObject(j, "created_by", t->created_by);
    json_set_u64(j, "created_at", t->created_at);
    json_set_u64(j, "expires_at", t->expires_at);
    json_set_u64(j, "uses", t->uses);
    json_set_u64(j, "used", t->used);
    return j;
}

cJSON *token_to_json(const struct token *t)
{
    cJSON *j = token_public_json(t);
    cJSON_AddStringToObject(j, "secret_sha256", t->secret_sha256);
    return j;
}

int token_from_json(const cJSON *j, struct token *ret, struct sc_err *err)
{
    struct json_reader r = json_read(j, "token");
    int64_t max = INT64_C(1) << 53;
    struct token t = { 0 };
    OBJ_SET(t.id, json_str(&r, "id", TOKEN_ID - 1, TOKEN_ID - 1));
    OBJ_SET(t.secret_sha256, json_str(&r, "secret_sha256", 64, 64));
    OBJ_SET(t.region, json_str(&r, "region", 0, OBJ_NAME - 1));
    OBJ_SET(t.provider, json_str(&r, "provider", 0, OBJ_NAME - 1));
    OBJ_SET(t.role, json_str(&r, "role", 1, sizeof t.role - 1));
    OBJ_SET(t.created_by, json_str_or(&r, "created_by", OBJ_NAME - 1, ""));
    t.created_at = (uint64_t)json_int(&r, "created_at", 0, max);
    t.expires_at = (uint64_t)json_int(&r, "expires_at", 0, max);
    t.uses = (uint32_t)json_int(&r, "uses", 0, UINT32_MAX);
    t.used = (uint32_t)json_int(&r, "used", 0, UINT32_MAX);
    int s = json_done(&r, err);
    if (s == 0)
        *ret = t;
    return s;
}

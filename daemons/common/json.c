/* json - see json.h. */
#include "common/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>

enum { NUMBER_MAX_BITS = 53 }; /* A double holds whole numbers up to 2^53. */

struct json_reader json_read(const cJSON *object, const char *what)
{
    struct json_reader r = { .object = object, .what = what };
    if (!cJSON_IsObject(object))
        sc_fail(&r.err, -EINVAL, "%s: must be a JSON object", what);
    return r;
}

static const char *type_name(const cJSON *j)
{
    switch (j->type & 0xff) {
    case cJSON_NULL:
        return "null";
    case cJSON_True:
    case cJSON_False:
        return "a boolean";
    case cJSON_Number:
        return "a number";
    case cJSON_String:
        return "a string";
    case cJSON_Array:
        return "an array";
    case cJSON_Object:
        return "an object";
    default:
        return "something else";
    }
}

/* The field, or NULL with the error set ('must' and absent) or not. */
static const cJSON *field(struct json_reader *r, const char *key, bool must,
                          const char *want)
{
    if (r->err.code)
        return NULL;
    const cJSON *j = cJSON_GetObjectItemCaseSensitive(r->object, key);
    if (j && !(cJSON_IsNull(j) && !must))
        return j;
    if (must)
        sc_fail(&r->err, -EINVAL, "%s: '%s' is missing; it must be %s", r->what,
                key, want);
    return NULL;
}

static void wrong_type(struct json_reader *r, const char *key, const cJSON *j,
                       const char *want)
{
    sc_fail(&r->err, -EINVAL, "%s: '%s' is %s; it must be %s", r->what, key,
            type_name(j), want);
}

static const char *take_str(struct json_reader *r, const char *key,
                            const cJSON *j, size_t min_len, size_t max_len)
{
    if (!cJSON_IsString(j)) {
        wrong_type(r, key, j, "a string");
        return NULL;
    }
    size_t len = strlen(j->valuestring);
    if (len < min_len || len > max_len) {
        sc_fail(&r->err, -EINVAL,
                "%s: '%s' has %zu characters; it must have %zu to %zu", r->what,
                key, len, min_len, max_len);
        return NULL;
    }
    return j->valuestring;
}

const char *json_str(struct json_reader *r, const char *key, size_t min_len,
                     size_t max_len)
{
    const cJSON *j = field(r, key, true, "a string");
    const char *s = j ? take_str(r, key, j, min_len, max_len) : NULL;
    return s ? s : "";
}

const char *json_str_or(struct json_reader *r, const char *key, size_t max_len,
                        const char *def)
{
    const cJSON *j = field(r, key, false, NULL);
    const char *s = j ? take_str(r, key, j, 0, max_len) : NULL;
    return s ? s : def;
}

static int64_t take_int(struct json_reader *r, const char *key, const cJSON *j,
                        int64_t min, int64_t max, int64_t def)
{
    if (!cJSON_IsNumber(j)) {
        wrong_type(r, key, j, "a whole number");
        return def;
    }
    double d = j->valuedouble;
    /* The first test also keeps NaN and what int64_t cannot hold out. */
    if (!(fabs(d) <= (double)(INT64_C(1) << NUMBER_MAX_BITS)) ||
        d != floor(d) || (int64_t)d < min || (int64_t)d > max) {
        sc_fail(&r->err, -EINVAL,
                "%s: '%s' is %.17g; it must be a whole number from %lld to "
                "%lld",
                r->what, key, d, (long long)min, (long long)max);
        return def;
    }
    return (int64_t)d;
}

int64_t json_int(struct json_reader *r, const char *key, int64_t min,
                 int64_t max)
{
    const cJSON *j = field(r, key, true, "a whole number");
    return j ? take_int(r, key, j, min, max, min) : min;
}

int64_t json_int_or(struct json_reader *r, const char *key, int64_t min,
                    int64_t max, int64_t def)
{
    const cJSON *j = field(r, key, false, NULL);
    return j ? take_int(r, key, j, min, max, def) : def;
}

static bool take_bool(struct json_reader *r, const char *key, const cJSON *j,
                      bool def)
{
    if (!j)
        return def;
    if (!cJSON_IsBool(j)) {
        wrong_type(r, key, j, "true or false");
        return def;
    }
    return cJSON_IsTrue(j);
}

bool json_bool(struct json_reader *r, const char *key)
{
    return take_bool(r, key, field(r, key, true, "true or false"), false);
}

bool json_bool_or(struct json_reader *r, const char *key, bool def)
{
    return take_bool(r, key, field(r, key, false, NULL), def);
}

const cJSON *json_obj(struct json_reader *r, const char *key)
{
    const cJSON *j = field(r, key, true, "an object");
    if (j && !cJSON_IsObject(j)) {
        wrong_type(r, key, j, "an object");
        return NULL;
    }
    return j;
}

const cJSON *json_arr(struct json_reader *r, const char *key)
{
    const cJSON *j = field(r, key, true, "an array");
    if (j && !cJSON_IsArray(j)) {
        wrong_type(r, key, j, "an array");
        return NULL;
    }
    return j;
}

void json_only(struct json_reader *r, const char *const allowed[])
{
    if (r->err.code)
        return;
    const cJSON *j;
    cJSON_ArrayForEach(j, r->object)
    {
        size_t i = 0;
        while (allowed[i] && strcmp(allowed[i], j->string) != 0)
            i++;
        if (!allowed[i]) {
            sc_fail(&r->err, -EINVAL, "%s: unknown key '%.64s'", r->what,
                    j->string);
            return;
        }
    }
}

int json_done(const struct json_reader *r, struct sc_err *err)
{
    if (r->err.code && err)
        *err = r->err;
    return r->err.code;
}

void json_set_u64(cJSON *o, const char *key, uint64_t v)
{
    cJSON_AddNumberToObject(o, key, (double)v);
}

void json_set_strf(cJSON *o, const char *key, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    SC_AUTO(free) char *text = NULL;
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0) {
        text = NULL;
        return;
    }
    cJSON_AddStringToObject(o, key, text);
}

static const char b64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *json_b64_encode(const void *data, size_t size)
{
    const uint8_t *in = data;
    if (size > SIZE_MAX / 2)
        return NULL;
    char *text = malloc((size + 2) / 3 * 4 + 1);
    if (!text)
        return NULL;
    char *out = text;
    for (; size >= 3; size -= 3, in += 3) {
        uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        *out++ = b64_digits[v >> 18];
        *out++ = b64_digits[v >> 12 & 63];
        *out++ = b64_digits[v >> 6 & 63];
        *out++ = b64_digits[v & 63];
    }
    if (size) {
        uint32_t v = (uint32_t)in[0] << 16 | (size > 1 ? in[1] << 8 : 0);
        *out++ = b64_digits[v >> 18];
        *out++ = b64_digits[v >> 12 & 63];
        *out++ = '=';
        if (size > 1)
            out[-1] = b64_digits[v >> 6 & 63];
        *out++ = '=';
    }
    *out = '\0';
    return text;
}

/* 0..63, or 64 for what is no digit. */
static uint32_t b64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a' + 26);
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0' + 52);
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

int json_b64_decode(const char *text, void **ret, size_t *ret_size)
{
    size_t len = strlen(text);
    if (len % 4)
        return -EINVAL;
    size_t pad = 0;
    if (len && text[len - 1] == '=')
        pad = text[len - 2] == '=' ? 2 : 1;
    SC_AUTO(free) uint8_t *data = malloc(len / 4 * 3 + 1);
    if (!data)
        return -ENOMEM;
    uint8_t *out = data;
    for (size_t i = 0; i < len; i += 4) {
        size_t n_digits = i + 4 == len ? 4 - pad : 4;
        uint32_t v = 0;
        for (size_t k = 0; k < 4; k++) {
            uint32_t digit = k < n_digits ? b64_value(text[i + k]) : 0;
            if (digit > 63)
                return -EINVAL;
            v = v << 6 | digit;
        }
        /* Bits that the padding leaves over must be 0: one text per value. */
        if ((n_digits == 2 && (v & 0xffff)) || (n_digits == 3 && (v & 0xff)))
            return -EINVAL;
        *out++ = (uint8_t)(v >> 16);
        if (n_digits > 2)
            *out++ = (uint8_t)(v >> 8);
        if (n_digits > 3)
            *out++ = (uint8_t)v;
    }
    *ret_size = (size_t)(out - data);
    *ret = SC_TAKE(data);
    return 0;
}

void sc_uuid_new(char ret[SC_UUID_LEN + 1])
{
    uint8_t b[16];
    /* 16 bytes never come short; before the kernel's pool is ready it waits. */
    while (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
        ;
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    char *p = ret;
    for (size_t i = 0; i < sizeof b; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = "0123456789abcdef"[b[i] >> 4];
        *p++ = "0123456789abcdef"[b[i] & 15];
    }
    *p = '\0';
}

bool sc_uuid_ok(const char *s)
{
    if (!s || strnlen(s, SC_UUID_LEN + 1) != SC_UUID_LEN)
        return false;
    for (size_t i = 0; i < SC_UUID_LEN; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (s[i] != '-')
                return false;
        } else if (!(s[i] >= '0' && s[i] <= '9') &&
                   !(s[i] >= 'a' && s[i] <= 'f')) {
            return false;
        }
    }
    return true;
}

bool sc_name_ok(const char *s)
{
    size_t len = s ? strnlen(s, 64) : 0;
    if (len < 1 || len > 63)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     (c >= '0' && c <= '9');
        if (!alnum && (i == 0 || (c != '.' && c != '_' && c != '-')))
            return false;
    }
    return true;
}

/* json - taking typed fields out of untrusted JSON, with an error that names
 * the field, what it was and what would be right.
 *
 * A sticky reader: read all fields, check once with json_done.  The first
 * problem wins; later reads return their default.  Pure.  Strings returned are
 * borrowed from the document. */
#ifndef SC_COMMON_JSON_H
#define SC_COMMON_JSON_H

#include "common/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

struct json_reader {
    const cJSON *object; /* Not an object: every read fails. */
    const char *what;    /* "vm.create": begins the error text. */
    struct sc_err err;   /* err.code is 0 as long as all was well. */
};
struct json_reader json_read(const cJSON *object, const char *what);

/* Required: absent or of another type is -EINVAL. */
const char *json_str(struct json_reader *r, const char *key, size_t min_len,
                     size_t max_len); /* "" on error. */
int64_t json_int(struct json_reader *r, const char *key, int64_t min,
                 int64_t max); /* 'min' on error. */
bool json_bool(struct json_reader *r, const char *key);
const cJSON *json_obj(struct json_reader *r, const char *key);
const cJSON *json_arr(struct json_reader *r, const char *key);
/* Optional: absent or null gives 'def'; present but wrong is an error. */
const char *json_str_or(struct json_reader *r, const char *key, size_t max_len,
                        const char *def);
int64_t json_int_or(struct json_reader *r, const char *key, int64_t min,
                    int64_t max, int64_t def);
bool json_bool_or(struct json_reader *r, const char *key, bool def);
/* Fails for keys not in the NULL-ended 'allowed': names the key. */
void json_only(struct json_reader *r, const char *const allowed[]);
/* 0, or the first problem's -EINVAL copied into 'err' (NULL allowed). */
int json_done(const struct json_reader *r, struct sc_err *err) SC_MUST_CHECK;

/* Builders: {"a": 1, "b": "x"}; NULL only when out of memory.
 * json_make("si", ...)?  No: cJSON_Add*ToObject is clear enough; these are the
 * two it lacks. */
void json_set_u64(cJSON *o, const char *key, uint64_t v); /* < 2^52:
                        above, cJSON prints 15 digits and takes them for it. */
void json_set_strf(cJSON *o, const char *key, const char *fmt, ...)
    SC_PRINTF(3, 4);
static inline void cjson_free(cJSON *j)
{
    cJSON_Delete(j);
}
SC_CLEANUP(cJSON, cjson_free)

/* Base64 (RFC 4648, padded) for binary fields.  Encode: malloc'd string, NULL
 * out of memory.  Decode: malloc'd '*ret'; 0, -EINVAL or -ENOMEM. */
char *json_b64_encode(const void *data, size_t size) SC_MUST_CHECK;
int json_b64_decode(const char *text, void **ret,
                    size_t *ret_size) SC_MUST_CHECK;

/* Random version 4 UUID, lower case. */
enum { SC_UUID_LEN = 36 };
void sc_uuid_new(char ret[SC_UUID_LEN + 1]);
bool sc_uuid_ok(const char *s);
/* A name a person gives: 1-63 of a-z A-Z 0-9 . _ -, first alphanumeric. */
bool sc_name_ok(const char *s);

#endif

/* rest_json - see rest.h: taking JSON apart and making it.  Pure. */
#include "provider/rest.h"

#include "common/json.h"

#include <stdarg.h>
#include <time.h>

const cJSON *rest_at(const cJSON *o, const char *path)
{
    char key[128];
    while (o && *path) {
        size_t len = strcspn(path, ".");
        if (len >= sizeof key)
            return NULL;
        memcpy(key, path, len);
        key[len] = '\0';
        if (cJSON_IsArray(o))
            o = *key >= '0' && *key <= '9'
                    ? cJSON_GetArrayItem(o, (int)strtol(key, NULL, 10))
                    : NULL;
        else
            o = cJSON_GetObjectItemCaseSensitive(o, key);
        path += len;
        path += *path == '.';
    }
    return o;
}

const char *rest_str(const cJSON *o, const char *path)
{
    const char *text = cJSON_GetStringValue(rest_at(o, path));
    return text ? text : "";
}

double rest_num(const cJSON *o, const char *path)
{
    const cJSON *j = rest_at(o, path);
    if (cJSON_IsNumber(j))
        return j->valuedouble;
    return cJSON_IsString(j) ? strtod(j->valuestring, NULL) : 0;
}

static void put(char *ret, size_t size, const char *text, size_t len)
{
    if (len >= size)
        len = size - 1;
    memcpy(ret, text, len);
    ret[len] = '\0';
    for (char *c = ret; *c; c++) /* One line, whatever the provider says. */
        if ((unsigned char)*c < ' ')
            *c = ' ';
}

/* The text of <name>...</name>; false: there is none. */
static bool xml_text(const char *xml, const char *name, char *ret, size_t size)
{
    char open[40];
    snprintf(open, sizeof open, "<%s>", name);
    const char *from = strstr(xml, open);
    if (!from)
        return false;
    from += strlen(open);
    put(ret, size, from, strcspn(from, "<"));
    return true;
}

void rest_words(const cJSON *json, const char *text, char *ret_code,
                size_t code_size, char *ret_message, size_t message_size)
{
    *ret_code = *ret_message = '\0';
    const cJSON *e = rest_at(json, "error");
    const char *code = "", *message = "";
    if (cJSON_IsString(e)) { /* OAuth */
        code = e->valuestring;
        message = rest_str(json, "error_description");
    } else if (e) {
        /* Google's reason is nearer than its number or status; Azure's code
         * is a string, the nearest one in 'details'. */
        static const char *const codes[] = { "errors.0.reason", "errors.0.code",
                                             "code", "status" };
        for (size_t i = 0; !*code && i < SC_ARRAY_LEN(codes); i++)
            code = rest_str(e, codes[i]);
        message = rest_str(e, "message");
        if (!*message)
            message = rest_str(e, "errors.0.message");
        if (!*message)
            message = rest_str(e, "details.0.message");
    } else if (rest_at(json, "code")) { /* Azure, now and then */
        code = rest_str(json, "code");
        message = rest_str(json, "message");
    }
    put(ret_code, code_size, code, strlen(code));
    put(ret_message, message_size, message, strlen(message));
    if (json || !text)
        return;
    if (xml_text(text, "Code", ret_code, code_size)) {
        (void)xml_text(text, "Message", ret_message, message_size);
        return;
    }
    put(ret_message, message_size, text, strlen(text));
}

/* A growing text; 'failed' sticks. */
struct text {
    char *at;
    size_t len, size;
    bool failed;
};

static void add(struct text *t, const char *data, size_t len)
{
    if (!t->failed && t->len + len + 1 > t->size) {
        size_t size = (t->len + len + 1) * 2;
        char *more = realloc(t->at, size);
        t->failed = !more;
        if (more) {
            t->at = more;
            t->size = size;
        }
    }
    if (t->failed)
        return;
    memcpy(t->at + t->len, data, len);
    t->at[t->len += len] = '\0';
}

static void add_json(struct text *t, cJSON *taken)
{
    SC_AUTO(cjson_free) cJSON *j = taken;
    SC_AUTO(free) char *text = j ? cJSON_PrintUnformatted(j) : NULL;
    t->failed = t->failed || (j && !text);
    add(t, text ? text : "null", strlen(text ? text : "null"));
}

cJSON *rest_json(const char *form, ...)
{
    struct text t = { 0 };
    va_list args;
    va_start(args, form);
    for (const char *p = form; *p; p++) {
        char number[32] = "";
        if (*p == '\'') {
            add(&t, "\"", 1);
        } else if (*p != '%') {
            add(&t, p, 1);
        } else {
            switch (*++p) {
            case 's':
                add_json(&t, cJSON_CreateString(va_arg(args, const char *)));
                break;
            case 'j':
                add_json(&t, va_arg(args, cJSON *));
                break;
            case 'd':
                snprintf(number, sizeof number, "%d", va_arg(args, int));
                break;
            case 'u':
                snprintf(number, sizeof number, "%llu",
                         (unsigned long long)va_arg(args, uint64_t));
                break;
            case 'f':
                snprintf(number, sizeof number, "%.6g", va_arg(args, double));
                break;
            case 'b':
                snprintf(number, sizeof number, "%s",
                         va_arg(args, int) ? "true" : "false");
                break;
            default:
                t.failed = true;
                p--;
                break;
            }
            add(&t, number, strlen(number));
        }
    }
    va_end(args);
    SC_AUTO(free) char *text = t.at;
    return text && !t.failed ? cJSON_Parse(text) : NULL;
}

uint64_t rest_time(const char *text)
{
    struct tm tm = { 0 };
    const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!p)
        return 0;
    int64_t ms = (int64_t)timegm(&tm) * 1000;
    if (*p == '.') {
        int64_t unit = 100;
        for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
            ms += (*p - '0') * unit;
    }
    int hours, minutes;
    if ((*p == '+' || *p == '-') &&
        sscanf(p + 1, "%2d:%2d", &hours, &minutes) == 2)
        ms -= (*p == '-' ? -1 : 1) * (int64_t)(hours * 60 + minutes) * 60000;
    return ms > 0 ? (uint64_t)ms : 0;
}

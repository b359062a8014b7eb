/* http_head - see http_head.h. */
#include "common/http_head.h"

#include <strings.h>

static bool is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* Ends the word at the next space; NULL if there is none. */
static char *next_word(char *s)
{
    char *space = strchr(s, ' ');
    if (!space || space == s)
        return NULL;
    *space = '\0';
    return space + 1;
}

static bool parse_first(char *line, struct http_head *ret)
{
    char *second = next_word(line);
    char *third = second ? next_word(second) : NULL;
    if (!third)
        return false;
    ret->first = line;
    ret->second = second;
    ret->third = third;
    return true;
}

static bool parse_header(char *line, struct http_head *ret)
{
    size_t len = 0;
    while (is_token(line[len]))
        len++;
    if (len == 0 || line[len] != ':' || ret->n_headers == HTTP_HEADERS_MAX)
        return false;
    char *value = line + len + 1;
    line[len] = '\0';
    value += strspn(value, " \t");
    size_t end = strlen(value);
    while (end > 0 && (value[end - 1] == ' ' || value[end - 1] == '\t'))
        value[--end] = '\0';
    ret->headers[ret->n_headers].name = line;
    ret->headers[ret->n_headers].value = value;
    ret->n_headers++;
    return true;
}

long http_head_parse(char *text, size_t size, struct http_head *ret)
{
    size_t scan = size < HTTP_HEAD_MAX ? size : HTTP_HEAD_MAX;
    char *end = memmem(text, scan, "\r\n\r\n", 4);
    if (!end)
        return size < HTTP_HEAD_MAX ? 0 : -EMSGSIZE;
    size_t head_size = (size_t)(end - text) + 4;
    for (size_t i = 0; i < head_size; i++) {
        unsigned char c = (unsigned char)text[i];
        bool crlf = (c == '\r' && text[i + 1] == '\n') ||
                    (c == '\n' && i > 0 && text[i - 1] == '\r');
        if (!crlf && c != '\t' && (c < ' ' || c == 0x7f))
            return -EPROTO;
    }
    memset(ret, 0, sizeof *ret);
    for (char *line = text; line < end + 2;) {
        char *cr = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        *cr = '\0';
        bool ok =
            line == text ? parse_first(line, ret) : parse_header(line, ret);
        if (!ok)
            return -EPROTO;
        line = cr + 2;
    }
    return (long)head_size;
}

const char *http_head_get(const struct http_head *head, const char *name)
{
    for (size_t i = 0; i < head->n_headers; i++)
        if (!strcasecmp(head->headers[i].name, name))
            return head->headers[i].value;
    return NULL;
}

bool http_head_has_token(const struct http_head *head, const char *name,
                         const char *token)
{
    size_t len = strlen(token);
    for (size_t i = 0; i < head->n_headers; i++) {
        if (strcasecmp(head->headers[i].name, name) != 0)
            continue;
        const char *s = head->headers[i].value;
        while (*s) {
            s += strspn(s, ", \t");
            size_t word = strcspn(s, ", \t");
            if (word == len && !strncasecmp(s, token, len))
                return true;
            s += word;
        }
    }
    return false;
}

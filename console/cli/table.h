/* table - JSON for people: lists as columns, objects as "key: value".
 *
 * Pure but for writing to 'out'.  Text of the cluster is made harmless: control
 * characters become '?', so that nobody's VM name moves a cursor. */
#ifndef SC_CLI_TABLE_H
#define SC_CLI_TABLE_H

#include <cjson/cJSON.h>
#include <stdio.h>

struct table_column {
    const char *title; /* "MEMORY"; NULL ends a list. */
    const char *path;  /* "ports.0.ip": keys and indexes, by dots. */
    const char *unit;  /* How to write a number: NULL (plain), "mib", "bytes",
                          "at" (ms since 1970), "ms", "percent", "ago"; "limit":
                          bytes, 0 for any number. */
};
/* 'rows': an array of objects.  'now' ms since 1970, for "ago". */
void table_print(FILE *out, const struct table_column *columns,
                 const cJSON *rows, double now);
/* One object, its columns below each other. */
void table_print_one(FILE *out, const struct table_column *columns,
                     const cJSON *object, double now);
/* What 'path' of 'o' looks like; into 'buf'; "-" for null or absent. */
void table_cell(const cJSON *o, const char *path, const char *unit, double now,
                char *buf, size_t size);
const cJSON *table_at(const cJSON *o, const char *path); /* NULL: absent. */
/* "1.5 GiB" */
void table_bytes(double n, char *buf, size_t size);
/* Columns a terminal needs for UTF-8 'text' (bytes that are not a character's
 * continuation). */
int table_width(const char *text);

#endif

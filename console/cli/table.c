/* table - see table.h. */
#include "cli/table.h"

#include "common/clean.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

enum { CELL = 256, MAX_COLUMNS = 16 };

const cJSON *table_at(const cJSON *o, const char *path)
{
    while (o && *path) {
        size_t len = strcspn(path, ".");
        char key[64];
        if (len >= sizeof key)
            return NULL;
        memcpy(key, path, len);
        key[len] = '\0';
        o = cJSON_IsArray(o) ? cJSON_GetArrayItem(o, atoi(key))
                             : cJSON_GetObjectItemCaseSensitive(o, key);
        path += len;
        path += *path == '.';
    }
    return o;
}

void table_bytes(double n, char *buf, size_t size)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    size_t i = 0;
    while (fabs(n) >= 1024 && i + 1 < SC_ARRAY_LEN(units)) {
        n /= 1024;
        i++;
    }
    snprintf(buf, size, i && n < 100 && n != floor(n) ? "%.1f %s" : "%.0f %s",
             n, units[i]);
}

static void ago(double ms, char *buf, size_t size)
{
    double s = ms > 0 ? ms / 1000 : 0;
    if (s < 120)
        snprintf(buf, size, "%.0f s ago", s);
    else if (s < 7200)
        snprintf(buf, size, "%.0f min ago", s / 60);
    else if (s < 48 * 3600)
        snprintf(buf, size, "%.0f h ago", s / 3600);
    else
        snprintf(buf, size, "%.0f d ago", s / 86400);
}

static void number(double n, const char *unit, double now, char *buf,
                   size_t size)
{
    if (!unit) {
        snprintf(buf, size, n == floor(n) ? "%.0f" : "%.2f", n);
    } else if (strcmp(unit, "mib") == 0) {
        table_bytes(n * 1048576, buf, size);
    } else if (strcmp(unit, "limit") == 0 && n == 0) {
        snprintf(buf, size, "any");
    } else if (strcmp(unit, "bytes") == 0 || strcmp(unit, "limit") == 0) {
        table_bytes(n, buf, size);
    } else if (strcmp(unit, "ms") == 0) {
        snprintf(buf, size, n < 10 && n != floor(n) ? "%.1f ms" : "%.0f ms", n);
    } else if (strcmp(unit, "percent") == 0) {
        snprintf(buf, size, "%.0f %%", n);
    } else if (n == 0) { /* A time that has not come. */
        snprintf(buf, size, "-");
    } else if (strcmp(unit, "ago") == 0) {
        ago(now - n, buf, size);
    } else { /* "at" */
        time_t t = (time_t)(n / 1000);
        struct tm tm;
        localtime_r(&t, &tm);
        strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm);
    }
}

static void copy_text(const char *text, char *buf, size_t size)
{
    size_t i = 0;
    for (; text[i] && i + 1 < size; i++)
        buf[i] =
            (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    buf[i] = '\0';
    if (!*text)
        snprintf(buf, size, "-");
}

void table_cell(const cJSON *o, const char *path, const char *unit, double now,
                char *buf, size_t size)
{
    const cJSON *v = table_at(o, path);
    if (cJSON_IsString(v))
        copy_text(v->valuestring, buf, size);
    else if (cJSON_IsNumber(v))
        number(v->valuedouble, unit, now, buf, size);
    else if (cJSON_IsBool(v))
        snprintf(buf, size, "%s", cJSON_IsTrue(v) ? "yes" : "no");
    else if (cJSON_IsArray(v))
        snprintf(buf, size, "%d", cJSON_GetArraySize(v));
    else
        snprintf(buf, size, "-");
}

int table_width(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void pad(FILE *out, const char *text, int width, bool is_last)
{
    fputs(text, out);
    for (int i = table_width(text); !is_last && i < width + 2; i++)
        fputc(' ', out);
}

void table_print(FILE *out, const struct table_column *columns,
                 const cJSON *rows, double now)
{
    int widths[MAX_COLUMNS] = { 0 }, n = 0;
    char cell[CELL];
    const cJSON *row;
    for (; n < MAX_COLUMNS && columns[n].title; n++) {
        widths[n] = table_width(columns[n].title);
        cJSON_ArrayForEach(row, rows)
        {
            table_cell(row, columns[n].path, columns[n].unit, now, cell,
                       sizeof cell);
            int w = table_width(cell);
            widths[n] = w > widths[n] ? w : widths[n];
        }
    }
    for (int i = 0; i < n; i++)
        pad(out, columns[i].title, widths[i], i + 1 == n);
    fputc('\n', out);
    cJSON_ArrayForEach(row, rows)
    {
        for (int i = 0; i < n; i++) {
            table_cell(row, columns[i].path, columns[i].unit, now, cell,
                       sizeof cell);
            pad(out, cell, widths[i], i + 1 == n);
        }
        fputc('\n', out);
    }
}

void table_print_one(FILE *out, const struct table_column *columns,
                     const cJSON *object, double now)
{
    int width = 0;
    char cell[CELL];
    for (int i = 0; columns[i].title; i++) {
        int w = table_width(columns[i].title);
        width = w > width ? w : width;
    }
    for (int i = 0; columns[i].title; i++) {
        table_cell(object, columns[i].path, columns[i].unit, now, cell,
                   sizeof cell);
        pad(out, columns[i].title, width, false);
        fprintf(out, "%s\n", cell);
    }
}

#include "cli/table.h"

#include "common/json.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct table_column columns[] = {
    { "NAME", "name", NULL },
    { "ADDRESS", "ports.0.ip", NULL },
    { "MEMORY", "memory_mib", "mib" },
    { 0 },
};

static char *printed(void (*fn)(FILE *, const struct table_column *,
                                const cJSON *, double),
                     const char *json)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(json);
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    fn(f, columns, o, 0);
    fclose(f);
    return text;
}

Test(table, columns_are_as_wide_as_their_widest_cell)
{
    SC_AUTO(free)
    char *text = printed(table_print,
                         "[{\"name\":\"a\",\"ports\":[{\"ip\":\"10.0.0.1\"}],"
                         "\"memory_mib\":512},"
                         "{\"name\":\"longer\",\"ports\":[],\"memory_mib\":"
                         "1536}]");
    cr_expect_str_eq(text, "NAME    ADDRESS   MEMORY\n"
                           "a       10.0.0.1  512 MiB\n"
                           "longer  -         1.5 GiB\n");
}

Test(table, an_empty_list_still_shows_its_columns)
{
    SC_AUTO(free) char *text = printed(table_print, "[]");
    cr_expect_str_eq(text, "NAME  ADDRESS  MEMORY\n");
}

Test(table, one_object_stands_line_by_line)
{
    SC_AUTO(free)
    char *text = printed(table_print_one, "{\"name\":\"a\",\"memory_mib\":64}");
    cr_expect_str_eq(text, "NAME     a\nADDRESS  -\nMEMORY   64 MiB\n");
}

Test(table, names_cannot_move_the_cursor)
{
    SC_AUTO(free)
    char *text = printed(table_print, "[{\"name\":\"a\\u001b[2Jb\\n\"}]");
    cr_expect_not(strchr(text, '\033'));
    cr_expect(strstr(text, "a?[2Jb?"));
}

Test(table, width_counts_characters_not_bytes)
{
    cr_expect_eq(table_width("abc"), 3);
    cr_expect_eq(table_width("\xc3\xa4\xe2\x82\xac"), 2);
}

static const struct {
    const char *json, *unit, *want;
} cells[] = {
    { "null", NULL, "-" },
    { "\"\"", NULL, "-" },
    { "true", NULL, "yes" },
    { "3", NULL, "3" },
    { "3.25", NULL, "3.25" },
    { "[1,2]", NULL, "2" },
    { "0", "bytes", "0 B" },
    { "1023", "bytes", "1023 B" },
    { "1536", "bytes", "1.5 KiB" },
    { "1073741824", "bytes", "1 GiB" },
    { "16384", "limit", "16 KiB" },
    { "0", "limit", "any" },
    { "187", "ms", "187 ms" },
    { "1.5", "ms", "1.5 ms" },
    { "55", "percent", "55 %" },
    { "9999000", "ago", "1 s ago" },
    { "9700000", "ago", "5 min ago" },
    { "10001000", "ago", "0 s ago" },
    { "0", "ago", "-" },
    { "0", "at", "-" },
};

Test(table, values_are_written_by_their_unit)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(cells); i++) {
        SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
        char cell[64];
        cJSON_AddItemToObject(o, "v", cJSON_Parse(cells[i].json));
        table_cell(o, "v", cells[i].unit, 10000000, cell, sizeof cell);
        cr_expect_str_eq(cell, cells[i].want, "%s as %s is '%s'", cells[i].json,
                         cells[i].unit, cell);
    }
}

Test(table, a_path_leads_through_objects_and_arrays)
{
    SC_AUTO(cjson_free)
    cJSON *o = cJSON_Parse("{\"a\":{\"b\":[{\"c\":7}]}}");
    const cJSON *v = table_at(o, "a.b.0.c");
    cr_assert(v);
    cr_expect_eq(v->valuedouble, 7);
    cr_expect_null(table_at(o, "a.x.0.c"));
    cr_expect_null(table_at(o, "a.b.1.c"));
    cr_expect_null(table_at(NULL, "a"));
}

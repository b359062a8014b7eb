/* Looking things up in an answer's XML, and refusing what is no answer. */
#include "provider/xml.h"

#include <criterion/criterion.h>

static struct xml *parse(const char *text)
{
    struct xml *x = NULL;
    struct sc_err err = { 0 };
    cr_assert_eq(xml_parse(text, strlen(text), &x, &err), 0, "%s", err.text);
    return x;
}

Test(xml, texts_are_found_by_path)
{
    SC_AUTO(xml_free)
    struct xml *x = parse(
        "<?xml version=\"1.0\"?>\n<r xmlns=\"urn:x\"><a><b>one</b></a>"
        "<a><b>two</b></a><c k=\"v\">x&lt;&#228;<d/>y</c><ab>no</ab></r>");
    const struct xml_node *r = xml_root(x);
    cr_expect_str_eq(r->name, "r");
    cr_expect_str_eq(xml_text(r, "a/b"), "one");
    cr_expect_str_eq(xml_text(r, "c"), "x<\xc3\xa4y");
    cr_expect_str_eq(xml_text(r, "c/d"), "");
    cr_expect_str_eq(xml_text(r, "a/x/y"), "");
    cr_expect_null(xml_get(r, "nothing"));
    cr_expect_null(xml_get(NULL, "a"));
    cr_expect_str_eq(xml_text(NULL, "a"), "");
    size_t n = 0;
    for (const struct xml_node *i = xml_first(r, ""); i; i = i->next)
        n++;
    cr_expect_eq(n, 4);
    cr_expect_str_eq(xml_first(r, "a")->name, "b");
    cr_expect_null(xml_first(r, "a/b"));
}

static const struct {
    const char *name, *text;
} bad[] = {
    { "nothing", "" },
    { "text alone", "hello" },
    { "cut short", "<a><b>" },
    { "ends crossed", "<a><b></a></b>" },
    { "two roots", "<a/><b/>" },
    { "a document type",
      "<!DOCTYPE a [<!ENTITY e \"eeee\">]><a>&e;&e;&e;</a>" },
    { "a file as an entity",
      "<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><a>&e;</a>" },
};

Test(xml, what_is_no_answer_is_refused)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(bad); i++) {
        struct xml *x = NULL;
        struct sc_err err = { 0 };
        cr_expect_eq(xml_parse(bad[i].text, strlen(bad[i].text), &x, &err),
                     -EPROTO, "case '%s'", bad[i].name);
        cr_expect(*err.text, "case '%s'", bad[i].name);
        cr_expect_null(x);
    }
}

Test(xml, a_tree_that_is_too_deep_is_refused)
{
    char text[4 * 200 * 2 + 1] = "";
    struct xml *x = NULL;
    for (int i = 0; i < 200; i++)
        strcat(text, "<a>");
    for (int i = 0; i < 200; i++)
        strcat(text, "</a>");
    cr_expect_eq(xml_parse(text, strlen(text), &x, NULL), -EPROTO);
}

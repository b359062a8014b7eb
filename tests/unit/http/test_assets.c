#include "http/assets.h"

#include <criterion/criterion.h>
#include <string.h>

Test(assets, the_openapi_file_and_a_page_are_embedded)
{
    cr_expect(http_asset_find("/openapi.json"));
    const struct http_asset *page = http_asset_find("/index.html");
    cr_assert(page);
    cr_expect_str_eq(page->type, "text/html; charset=utf-8");
}

Test(assets, paths_without_a_suffix_are_the_front_ends_own)
{
    const struct http_asset *page = http_asset_find("/index.html");
    cr_expect_eq(http_asset_for("/"), page);
    cr_expect_eq(http_asset_for("/vms"), page);
    cr_expect_eq(http_asset_for("/vms/a-b"), page);
}

Test(assets, a_file_that_is_not_there_is_not_the_page)
{
    cr_expect_null(http_asset_for("/assets/gone.js"));
    cr_expect_null(http_asset_for("/favicon.ico"));
}

Test(assets, etags_are_quoted_and_follow_the_content)
{
    const struct http_asset *a = http_asset_find("/index.html");
    const struct http_asset *b = http_asset_find("/openapi.json");
    cr_expect_eq(a->etag[0], '"');
    cr_expect_eq(a->etag[strlen(a->etag) - 1], '"');
    cr_expect_str_neq(a->etag, b->etag);
}

Test(assets, big_text_is_compressed)
{
    const struct http_asset *a = http_asset_find("/openapi.json");
    cr_expect(a->gzip);
    cr_expect_eq(a->data[0], 0x1f);
    cr_expect_eq(a->data[1], 0x8b);
}

Test(assets, types_follow_the_suffix)
{
    cr_expect_str_eq(http_asset_type("/x.css"), "text/css; charset=utf-8");
    cr_expect_str_eq(http_asset_type("/x.min.js"),
                     "text/javascript; charset=utf-8");
    cr_expect_str_eq(http_asset_type("/x.woff2"), "font/woff2");
    cr_expect_str_eq(http_asset_type("/x"), "application/octet-stream");
}

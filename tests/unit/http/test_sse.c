#include "http/sse.h"

#include <criterion/criterion.h>
#include <string.h>

Test(sse, an_event_is_formatted_with_its_data_split_at_newlines)
{
    SC_AUTO(free) char *a = sse_format("7", "change", "{\"a\":1}");
    SC_AUTO(free) char *b = sse_format("8", "x", "one\ntwo\r\nthree\rfour");
    cr_expect_str_eq(a, "id: 7\nevent: change\ndata: {\"a\":1}\n\n");
    cr_expect_str_eq(b, "id: 8\nevent: x\ndata: one\ndata: two\ndata: three\n"
                        "data: four\n\n");
}

static struct sse_hub *hub_of(unsigned max_readers)
{
    struct sse_hub *hub = NULL;
    cr_assert_eq(sse_hub_new(0xab, max_readers, &hub), 0);
    return hub;
}

Test(sse, a_reader_gets_what_is_published_after_it_came)
{
    SC_AUTO(sse_hub_free) struct sse_hub *hub = hub_of(4);
    SC_AUTO(sse_reader_free) struct sse_reader *r = NULL;
    sse_publish(hub, "change", "old");
    cr_assert_eq(sse_reader_new(hub, NULL, &r), 0);
    sse_publish(hub, "change", "new");
    SC_AUTO(free) char *text = NULL;
    cr_assert_eq(sse_next(r, 0, &text), 0);
    cr_expect_str_eq(text, "id: ab-2\nevent: change\ndata: new\n\n");
    SC_AUTO(free) char *none = NULL;
    cr_expect_eq(sse_next(r, 0, &none), -ETIMEDOUT);
}

Test(sse, a_reader_that_comes_back_goes_on_where_it_was)
{
    SC_AUTO(sse_hub_free) struct sse_hub *hub = hub_of(4);
    SC_AUTO(sse_reader_free) struct sse_reader *r = NULL;
    sse_publish(hub, "change", "one");
    sse_publish(hub, "change", "two");
    cr_assert_eq(sse_reader_new(hub, "ab-1", &r), 0);
    SC_AUTO(free) char *text = NULL;
    cr_assert_eq(sse_next(r, 0, &text), 0);
    cr_expect(strstr(text, "data: two"));
}

static const char *const strange_ids[] = { "ac-1", "ab-99", "ab-", "nonsense",
                                           "ab-1x" };

Test(sse, a_reader_whose_place_is_unknown_is_told_to_begin_anew)
{
    SC_AUTO(sse_hub_free) struct sse_hub *hub = hub_of(8);
    sse_publish(hub, "change", "one");
    for (size_t i = 0; i < SC_ARRAY_LEN(strange_ids); i++) {
        SC_AUTO(sse_reader_free) struct sse_reader *r = NULL;
        SC_AUTO(free) char *text = NULL;
        cr_assert_eq(sse_reader_new(hub, strange_ids[i], &r), 0);
        cr_assert_eq(sse_next(r, 0, &text), 0);
        cr_expect(strstr(text, "event: reset"), "id '%s'", strange_ids[i]);
    }
}

Test(sse, a_reader_that_is_too_slow_gets_one_reset_and_then_the_newest)
{
    SC_AUTO(sse_hub_free) struct sse_hub *hub = hub_of(4);
    SC_AUTO(sse_reader_free) struct sse_reader *r = NULL;
    cr_assert_eq(sse_reader_new(hub, NULL, &r), 0);
    for (int i = 0; i < SSE_RING + 10; i++)
        sse_publish(hub, "change", "x");
    SC_AUTO(free) char *reset = NULL;
    SC_AUTO(free) char *none = NULL;
    SC_AUTO(free) char *next = NULL;
    cr_assert_eq(sse_next(r, 0, &reset), 0);
    cr_expect(strstr(reset, "event: reset"));
    cr_expect_eq(sse_next(r, 0, &none), -ETIMEDOUT);
    sse_publish(hub, "change", "newest");
    cr_assert_eq(sse_next(r, 0, &next), 0);
    cr_expect(strstr(next, "newest"));
}

Test(sse, big_events_are_bounded_by_bytes_too)
{
    SC_AUTO(sse_hub_free) struct sse_hub *hub = hub_of(4);
    SC_AUTO(sse_reader_free) struct sse_reader *r = NULL;
    SC_AUTO(free) char *big = malloc(1 << 20);
    memset(big, 'a', 1 << 20);
    big[(1 << 20) - 1] = '\0';
    cr_assert_eq(sse_reader_new(hub, NULL, &r), 0);
    for (int i = 0; i < 10; i++)
        sse_publish(hub, "change", big);
    SC_AUTO(free) char *text = NULL;
    cr_assert_eq(sse_next(r, 0, &text), 0);
    cr_expect(strstr(text, "event: reset"));
}

Test(sse, only_so_many_readers_are_let_in)
{
    SC_AUTO(sse_hub_free) struct sse_hub *hub = hub_of(1);
    SC_AUTO(sse_reader_free) struct sse_reader *a = NULL;
    struct sse_reader *b = NULL;
    cr_assert_eq(sse_reader_new(hub, NULL, &a), 0);
    cr_expect_eq(sse_reader_new(hub, NULL, &b), -EAGAIN);
    sse_reader_free(SC_TAKE(a));
    cr_assert_eq(sse_reader_new(hub, NULL, &a), 0);
}

Test(sse, a_hub_that_closes_ends_its_readers)
{
    struct sse_hub *hub = hub_of(1);
    struct sse_reader *r = NULL;
    SC_AUTO(free) char *text = NULL;
    cr_assert_eq(sse_reader_new(hub, NULL, &r), 0);
    sse_hub_close(hub);
    cr_expect_eq(sse_next(r, 1000, &text), -ESHUTDOWN);
    struct sse_reader *late = NULL;
    cr_expect_eq(sse_reader_new(hub, NULL, &late), -EAGAIN);
    sse_reader_free(r);
    sse_hub_free(hub);
}

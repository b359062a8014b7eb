/* events - GET /events: what changes, as server-sent events.
 *
 * One worker thread each while it lasts; the hub limits how many.  The session
 * is looked at again with every keep-alive, so a logout ends the stream. */
#include "api/request.h"

#include <string.h>

void api_events(struct api_request *q)
{
    SC_AUTO(sse_reader_free) struct sse_reader *reader = NULL;
    int r = sse_reader_new(q->api->events,
                           http_header(q->http, "Last-Event-ID"), &reader);
    if (r < 0) {
        http_reply_errorf(q->http, 0, r, "events: too many streams are open");
        return;
    }
    static const char hello[] = "retry: 2000\n: hello\n\n";
    static const char alive[] = ": still here\n\n";
    http_stream_begin(q->http, "text/event-stream");
    r = http_write(q->http, hello, sizeof hello - 1);
    uint64_t period_ms = q->api->o.keep_alive_ms;
    uint64_t checked_at = sc_mono_ms();
    while (r == 0) {
        SC_AUTO(free) char *text = NULL;
        r = sse_next(reader, period_ms, &text);
        if (r == 0)
            r = http_write(q->http, text, strlen(text));
        else if (r == -ETIMEDOUT)
            r = http_write(q->http, alive, sizeof alive - 1);
        uint64_t now = sc_mono_ms();
        if (r == 0 && now - checked_at >= period_ms) {
            checked_at = now;
            if (!api_still_valid(q, false))
                break;
        }
    }
}

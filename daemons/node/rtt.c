/* rtt - see rtt.h. */
#include "node/rtt.h"

#include <stdlib.h>

uint32_t rtt_sent(struct rtt *r)
{
    r->last = r->last == UINT32_MAX ? 1 : r->last + 1;
    r->us[r->last % RTT_WINDOW] = 0;
    return r->last;
}

void rtt_got(struct rtt *r, uint32_t seq, uint32_t us)
{
    if (seq == 0 || seq > r->last || r->last - seq >= RTT_WINDOW)
        return;
    if (r->us[seq % RTT_WINDOW] == 0)
        r->us[seq % RTT_WINDOW] = us ? us : 1;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

double rtt_median_ms(const struct rtt *r)
{
    uint32_t v[RTT_WINDOW];
    unsigned n = 0;
    for (unsigned i = 0; i < RTT_WINDOW; i++)
        if (r->us[i])
            v[n++] = r->us[i];
    if (n == 0)
        return -1;
    qsort(v, n, sizeof *v, ascending);
    uint64_t middle =
        n % 2 ? 2 * (uint64_t)v[n / 2] : (uint64_t)v[n / 2 - 1] + v[n / 2];
    return (double)middle / 2000.0;
}

double rtt_loss(const struct rtt *r)
{
    unsigned asked = 0, lost = 0;
    for (uint32_t back = RTT_LATE; back < RTT_WINDOW && back < r->last;
         back++) {
        asked++;
        lost += r->us[(r->last - back) % RTT_WINDOW] == 0;
    }
    return asked ? (double)lost / asked : 0;
}

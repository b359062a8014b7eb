/* holder - see holder.h. */
#include "storage/holder.h"

static double cost(const struct holder_option *o,
                   const struct holder_weights *w)
{
    double ms = o->latency_ms < 0 ? HOLDER_UNKNOWN_MS : o->latency_ms;
    return ms + o->price * w->ms_per_price;
}

static bool better(const struct holder_option *a, const struct holder_option *b,
                   const struct holder_weights *w)
{
    if (a->up != b->up)
        return a->up;
    double ca = cost(a, w), cb = cost(b, w);
    return ca < cb || (!(cb < ca) && a->nid < b->nid);
}

size_t cheapest_holder(const struct holder_option *options, size_t n,
                       const struct holder_weights *w)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        if (best == SIZE_MAX || better(&options[i], &options[best], w))
            best = i;
    return best;
}

double propagation_priority(const struct propagation_knobs *knobs, uint32_t fr,
                            uint32_t fw)
{
    if (fw == 0)
        return -1;
    double ratio = (double)fr / fw;
    return ratio < knobs->s ? -1 : knobs->k * ratio + fr;
}

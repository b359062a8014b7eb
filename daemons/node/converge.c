/* converge - see converge.h. */
#include "node/converge.h"

#include <string.h>

static const struct seen *find_seen(const struct seen *seen, size_t n,
                                    const char *vm_id)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(seen[i].vm_id, vm_id))
            return &seen[i];
    return NULL;
}

static bool is_wanted(const struct wanted *w, size_t n, const char *vm_id)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(w[i].vm_id, vm_id))
            return true;
    return false;
}

static size_t one(const struct wanted *w, const struct seen *s,
                  struct step *ret)
{
    size_t n = 0;
    switch (w->want) {
    case WANT_OWNED:
        if (!s)
            ret[n++] = (struct step){ STEP_STOPPED, w->vm_id };
        else if (s->state == HV_RUNNING)
            ret[n++] = (struct step){ STEP_ADOPT, w->vm_id };
        else
            ret[n++] = (struct step){ STEP_RESUME, w->vm_id };
        break;
    case WANT_STOPPED:
        if (s)
            ret[n++] = (struct step){ STEP_DESTROY, w->vm_id };
        break;
    case WANT_SENDING:
        ret[n++] = (struct step){ STEP_TAKE_BACK, w->vm_id };
        break;
    case WANT_GIVEN:
        if (s && s->state == HV_RUNNING)
            ret[n++] = (struct step){ STEP_PAUSE, w->vm_id };
        ret[n++] = (struct step){ STEP_HOLD, w->vm_id };
        break;
    case WANT_RELEASING:
        ret[n++] = (struct step){ STEP_RELEASE, w->vm_id };
        break;
    case WANT_MINE:
        if (!s)
            ret[n++] = (struct step){ STEP_STOPPED, w->vm_id };
        else
            ret[n++] = (struct step){ STEP_FINISH_IN, w->vm_id };
        break;
    }
    return n;
}

size_t converge(const struct wanted *wanted, size_t n_wanted,
                const struct seen *seen, size_t n_seen, struct step *ret)
{
    size_t n = 0;
    /* First what must not run, then the rest. */
    for (size_t i = 0; i < n_seen; i++)
        if (!is_wanted(wanted, n_wanted, seen[i].vm_id))
            ret[n++] = (struct step){ STEP_DESTROY, seen[i].vm_id };
    for (size_t i = 0; i < n_wanted; i++)
        n += one(&wanted[i], find_seen(seen, n_seen, wanted[i].vm_id), &ret[n]);
    return n;
}

#include "controller/migrate_decide.h"

#include <stddef.h>
#include <string.h>

#define S(id, text) text,
static const char *const names[] = { MIGRATE_SIDES(S) };
#undef S

const char *migrate_side_name(enum migrate_side side)
{
    return (unsigned)side < SIDE_N ? names[side] : "?";
}

enum migrate_side migrate_side_parse(const char *text)
{
    for (int i = 0; text && i < SIDE_N; i++) {
        if (!strcmp(names[i], text))
            return (enum migrate_side)i;
    }
    return SIDE_UNREACHABLE;
}

enum migrate_action migrate_decide(enum migrate_side source,
                                   enum migrate_side destination,
                                   bool source_runs, bool cancel)
{
    bool may_promise =
        destination != SIDE_UNREACHABLE && destination != SIDE_CANCELLED;
    /* Running there, or the source saw it run there: it is there. */
    if (destination == SIDE_RUNNING || source == SIDE_RELEASED)
        return MIGRATE_FORWARD;
    switch (source) {
    case SIDE_SENDING:
        return cancel && may_promise ? MIGRATE_CANCEL : MIGRATE_WAIT;
    case SIDE_RESUMED: /* It never sent COMMIT. */
        return MIGRATE_BACK;
    case SIDE_UNCERTAIN:
        if (destination == SIDE_CANCELLED)
            return MIGRATE_RESUME;
        return destination == SIDE_UNREACHABLE ? MIGRATE_WAIT : MIGRATE_CANCEL;
    case SIDE_UNKNOWN:
        /* It never began; or it forgot, and then the destination's promise
         * or the guest itself must speak. */
        if (destination == SIDE_CANCELLED || source_runs)
            return MIGRATE_BACK;
        return destination == SIDE_UNREACHABLE ? MIGRATE_WAIT : MIGRATE_CANCEL;
    default: /* Unreachable. */
        if (destination == SIDE_CANCELLED)
            return MIGRATE_RESUME;
        return cancel && may_promise ? MIGRATE_CANCEL : MIGRATE_WAIT;
    }
}

#include "model/states.h"

#include <string.h>

#define VM_(state) (1u << VM_##state)
#define NODE_(state) (1u << NODE_##state)
#define IMAGE_(state) (1u << IMAGE_##state)
#define PUBLISHED_(state) (1u << PUBLISHED_##state)
#define JOB_(state) (1u << JOB_##state)
#define STEP_(state) (1u << STEP_##state)

struct state_row {
    const char *name;
    unsigned next; /* Bits of the states it may move to. */
};

static bool parse(const struct state_row *rows, int n, const char *name,
                  int *ret)
{
    for (int i = 0; name && i < n; i++) {
        if (!strcmp(rows[i].name, name)) {
            *ret = i;
            return true;
        }
    }
    return false;
}

#define SC_STATE_DEFINE(type, n)                                               \
    const char *type##_state_name(enum type##_state s)                         \
    {                                                                          \
        return (unsigned)s < (n) ? type##_rows[s].name : "?";                  \
    }                                                                          \
    bool type##_state_parse(const char *name, enum type##_state *ret)          \
    {                                                                          \
        int i;                                                                 \
        if (!parse(type##_rows, (n), name, &i))                                \
            return false;                                                      \
        *ret = (enum type##_state)i;                                           \
        return true;                                                           \
    }                                                                          \
    bool type##_state_may(enum type##_state from, enum type##_state to)        \
    {                                                                          \
        return (unsigned)from < (n) && (unsigned)to < (n) &&                   \
               (from == to || (type##_rows[from].next & 1u << to));            \
    }

#define S(id, text, next) { text, next },
static const struct state_row vm_rows[] = { VM_STATES(S) };
static const struct state_row node_rows[] = { NODE_STATES(S) };
static const struct state_row image_rows[] = { IMAGE_STATES(S) };
static const struct state_row published_rows[] = { PUBLISHED_STATES(S) };
static const struct state_row job_rows[] = { JOB_STATES(S) };
static const struct state_row step_rows[] = { STEP_STATES(S) };
#undef S

SC_STATE_DEFINE(vm, VM_N_STATES)
SC_STATE_DEFINE(node, NODE_N_STATES)
SC_STATE_DEFINE(image, IMAGE_N_STATES)
SC_STATE_DEFINE(published, PUBLISHED_N_STATES)
SC_STATE_DEFINE(job, JOB_N_STATES)
SC_STATE_DEFINE(step, STEP_N_STATES)

#include "store_cases.h"

static struct store *open_store(const struct temp_dir *d)
{
    (void)d;
    struct store *s;
    cr_assert_eq(store_mem_open(store_tables, &s, NULL), 0);
    return s;
}

STORE_CASES(store_mem)

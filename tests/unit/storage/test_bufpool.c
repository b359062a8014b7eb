/* Tests of daemons/storage/bufpool.c. */
#include "storage/bufpool.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

Test(bufpool, buffers_are_aligned_and_used_again)
{
    SC_AUTO(bufpool_free) struct bufpool *p = bufpool_new();
    void *a = bufpool_get(p, 5000);
    cr_assert_not_null(a);
    cr_expect_eq((uintptr_t)a % 4096, 0);
    memset(a, 1, 8192);
    bufpool_put(p, a, 5000);
    cr_expect_eq(bufpool_get(p, 8192), a); /* The same class. */
    void *b = bufpool_get(p, 8192);
    cr_expect_neq(b, a);
    bufpool_put(p, a, 8192);
    bufpool_put(p, b, 8192);
    bufpool_put(p, NULL, 4096);
}

Test(bufpool, large_buffers_are_not_kept)
{
    SC_AUTO(bufpool_free) struct bufpool *p = bufpool_new();
    void *a = bufpool_get(p, 32 << 20);
    cr_assert_not_null(a);
    memset(a, 1, 32 << 20);
    bufpool_put(p, a, 32 << 20);
}

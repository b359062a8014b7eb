/* Fuzz target: a volume's journal and checkpoint as read from a disk
 * (daemons/storage/layout.c).  The checksums are made right first: what is
 * behind them must hold by itself. */
#include "storage/layout.h"

#include "storage/bytes.h"
#include "storage/crc32c.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(uint8_t *buf, size_t size)
{
    put_le32(buf + 4, 0);
    put_le32(buf + 4, crc32c(0, buf, size));
}

static void walk(const struct layout_group *g)
{
    volatile uint8_t sink = 0;
    for (uint32_t i = 0; i < g->n_records; i++) {
        uint32_t block;
        struct block b;
        (void)!layout_record_get(g->records + (size_t)i * LAYOUT_RECORD, &block,
                                 &b);
    }
    for (uint32_t i = 0; i < g->state_size; i++)
        sink = (uint8_t)(sink ^ g->state[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t room = (size + LAYOUT_PAGE - 1) / LAYOUT_PAGE * LAYOUT_PAGE;
    if (room == 0)
        return 0;
    uint8_t *buf = calloc(1, room);
    memcpy(buf, data, size);
    struct layout_group g;
    struct layout_checkpoint c;
    if (layout_group_decode(buf, room, &g) == 0)
        walk(&g);
    seal(buf, room);
    if (layout_group_decode(buf, room, &g) == 0)
        walk(&g);
    seal(buf, LAYOUT_PAGE);
    (void)!layout_checkpoint_decode(buf, LAYOUT_PAGE, &c);
    free(buf);
    return 0;
}

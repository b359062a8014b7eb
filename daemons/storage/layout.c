/* layout - see layout.h and docs/storage-format.md. */
#include "storage/layout.h"

#include "storage/bytes.h"
#include "storage/crc32c.h"

#define GROUP_MAGIC UINT32_C(0x474a4353)      /* "SCJG" */
#define CHECKPOINT_MAGIC UINT32_C(0x504b4353) /* "SCKP" */
enum { CRC_AT = 4, FORMAT = 1, STATE_AT = 128 };

void layout_record_put(uint8_t *p, uint32_t block, const struct block *b)
{
    put_le32(p, block);
    put_le32(p + 4, b->slot);
    put_le64(p + 8, b->version);
    put_le32(p + 16, b->crc);
    put_le16(p + 20, b->holder);
    put_le16(p + 22, b->flags & BLOCK_KEEP_FLAGS);
}

int layout_record_get(const uint8_t *p, uint32_t *ret_block, struct block *ret)
{
    uint32_t block = get_le32(p), slot = get_le32(p + 4);
    uint16_t flags = get_le16(p + 22);
    if (block >= BLOCK_COUNT_MAX || (flags & ~BLOCK_KEEP_FLAGS) ||
        (slot >= SLOT_MAX && slot != SLOT_NONE && slot != SLOT_ZERO))
        return -EBADMSG;
    *ret = (struct block){
        .slot = slot,
        .version = get_le64(p + 8),
        .crc = get_le32(p + 16),
        .holder = get_le16(p + 20),
        .flags = (uint8_t)flags,
    };
    if (ret->version == 0 && slot != SLOT_NONE)
        return -EBADMSG;
    *ret_block = block;
    return 0;
}

size_t layout_group_size(uint32_t n_records, uint32_t state_size)
{
    size_t size =
        LAYOUT_GROUP_HEADER + (size_t)n_records * LAYOUT_RECORD + state_size;
    return (size + LAYOUT_PAGE - 1) / LAYOUT_PAGE * LAYOUT_PAGE;
}

/* The crc of a page or group, its own field taken as zero. */
static uint32_t sealed_crc(const uint8_t *buf, size_t size)
{
    static const uint8_t zero[4];
    uint32_t crc = crc32c(0, buf, CRC_AT);
    crc = crc32c(crc, zero, sizeof zero);
    return crc32c(crc, buf + CRC_AT + 4, size - CRC_AT - 4);
}

void layout_group_seal(uint8_t *buf, struct layout_group *g,
                       const uint8_t *state)
{
    size_t used = LAYOUT_GROUP_HEADER + (size_t)g->n_records * LAYOUT_RECORD;
    size_t total = layout_group_size(g->n_records, g->state_size);
    if (g->state_size)
        memcpy(buf + used, state, g->state_size);
    used += g->state_size;
    memset(buf + used, 0, total - used);
    g->total_size = (uint32_t)total;
    put_le32(buf, GROUP_MAGIC);
    memcpy(buf + 8, g->id, LAYOUT_ID);
    put_le64(buf + 24, g->generation);
    put_le64(buf + 32, g->seq);
    put_le64(buf + 40, g->confirmed);
    put_le64(buf + 48, g->version);
    put_le32(buf + 56, g->prev_crc);
    put_le32(buf + 60, g->n_records);
    put_le32(buf + 64, g->state_size);
    put_le32(buf + 68, g->total_size);
    put_le64(buf + 72, 0);
    g->crc = sealed_crc(buf, total);
    put_le32(buf + CRC_AT, g->crc);
}

int layout_group_decode(const uint8_t *buf, size_t size,
                        struct layout_group *ret)
{
    if (size < LAYOUT_PAGE || get_le32(buf) != GROUP_MAGIC)
        return -EBADMSG;
    struct layout_group g = {
        .crc = get_le32(buf + CRC_AT),
        .generation = get_le64(buf + 24),
        .seq = get_le64(buf + 32),
        .confirmed = get_le64(buf + 40),
        .version = get_le64(buf + 48),
        .prev_crc = get_le32(buf + 56),
        .n_records = get_le32(buf + 60),
        .state_size = get_le32(buf + 64),
        .total_size = get_le32(buf + 68),
    };
    memcpy(g.id, buf + 8, LAYOUT_ID);
    if (g.n_records > LAYOUT_GROUP_RECORDS_MAX ||
        g.state_size > LAYOUT_STATE_MAX || g.total_size > size ||
        g.total_size != layout_group_size(g.n_records, g.state_size) ||
        sealed_crc(buf, g.total_size) != g.crc)
        return -EBADMSG;
    g.records = buf + LAYOUT_GROUP_HEADER;
    g.state = g.records + (size_t)g.n_records * LAYOUT_RECORD;
    *ret = g;
    return 0;
}

void layout_checkpoint_encode(uint8_t *buf, const struct layout_checkpoint *c)
{
    memset(buf, 0, LAYOUT_PAGE);
    put_le32(buf, CHECKPOINT_MAGIC);
    put_le32(buf + 8, FORMAT);
    put_le32(buf + 12, c->has_parent);
    memcpy(buf + 16, c->id, LAYOUT_ID);
    memcpy(buf + 32, c->parent, LAYOUT_ID);
    put_le64(buf + 48, c->size);
    put_le64(buf + 56, c->generation);
    put_le64(buf + 64, c->seq);
    put_le64(buf + 72, c->version);
    put_le64(buf + 80, c->n_records);
    put_le32(buf + 88, c->records_crc);
    put_le32(buf + 92, c->prev_crc);
    put_le32(buf + 96, c->state_size);
    memcpy(buf + STATE_AT, c->state, c->state_size);
    put_le32(buf + CRC_AT, sealed_crc(buf, LAYOUT_PAGE));
}

int layout_checkpoint_decode(const uint8_t *buf, size_t size,
                             struct layout_checkpoint *ret)
{
    if (size < LAYOUT_PAGE || get_le32(buf) != CHECKPOINT_MAGIC ||
        get_le32(buf + 8) != FORMAT ||
        get_le32(buf + CRC_AT) != sealed_crc(buf, LAYOUT_PAGE))
        return -EBADMSG;
    uint32_t state_size = get_le32(buf + 96), has_parent = get_le32(buf + 12);
    uint64_t n = get_le64(buf + 80), bytes = get_le64(buf + 48);
    if (state_size > LAYOUT_STATE_MAX || has_parent > 1 ||
        bytes / BLOCK_SIZE >= BLOCK_COUNT_MAX ||
        n > (bytes + BLOCK_SIZE - 1) / BLOCK_SIZE)
        return -EBADMSG;
    *ret = (struct layout_checkpoint){
        .has_parent = has_parent,
        .size = bytes,
        .generation = get_le64(buf + 56),
        .seq = get_le64(buf + 64),
        .version = get_le64(buf + 72),
        .n_records = n,
        .records_crc = get_le32(buf + 88),
        .prev_crc = get_le32(buf + 92),
        .state_size = state_size,
    };
    memcpy(ret->id, buf + 16, LAYOUT_ID);
    memcpy(ret->parent, buf + 32, LAYOUT_ID);
    memcpy(ret->state, buf + STATE_AT, state_size);
    return 0;
}

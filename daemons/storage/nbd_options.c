/* nbd_options - the negotiation of an NBD connection: see nbd_conn.h. */
#include "storage/nbd_conn.h"

#include "storage/bytes.h"

static int reply(struct nbd_conn *c, uint32_t option, uint32_t type,
                 const void *data, uint32_t size)
{
    uint8_t *p = malloc(20 + size);
    if (!p)
        return -ENOMEM;
    nbd_put_option_reply(p, option, type, size);
    if (size)
        memcpy(p + 20, data, size);
    return nbd_conn_send(c, p, 20 + size);
}

static struct volume *find(struct nbd_conn *c, const char *name, uint32_t len)
{
    char text[VOL_ID_LEN + 1];
    if (len > VOL_ID_LEN)
        return NULL;
    memcpy(text, name, len);
    text[len] = 0;
    return c->server->ops.find(c->server->ops.arg, text);
}

static uint16_t export_flags(const struct volume *v)
{
    return (uint16_t)(NBD_T_HAS_FLAGS | NBD_T_FLUSH | NBD_T_FUA | NBD_T_TRIM |
                      NBD_T_WRITE_ZEROES | NBD_T_DF | NBD_T_MULTI_CONN |
                      (volume_may_write(v) ? 0 : NBD_T_READ_ONLY));
}

static void begin(struct nbd_conn *c, struct volume *v)
{
    c->vol = v;
    c->size = volume_size(v);
    v->connections++;
    c->phase = NBD_REQUESTS;
}

static int export_name(struct nbd_conn *c, const struct nbd_option *o)
{
    struct volume *v = find(c, (const char *)o->data, o->size);
    if (!v)
        return -ENOENT; /* There is no way to say it but to hang up. */
    uint32_t size = c->no_zeroes ? 10 : 134;
    uint8_t *p = calloc(1, size);
    if (!p)
        return -ENOMEM;
    put_be64(p, volume_size(v));
    put_be16(p + 8, export_flags(v));
    begin(c, v);
    return nbd_conn_send(c, p, size);
}

static int info_or_go(struct nbd_conn *c, const struct nbd_option *o)
{
    struct nbd_info i;
    if (nbd_info_decode(o->data, o->size, &i) < 0)
        return reply(c, o->option, NBD_REP_ERR_INVALID, NULL, 0);
    struct volume *v = find(c, i.name, i.name_len);
    static const char text[] = "no such volume is open here";
    if (!v)
        return reply(c, o->option, NBD_REP_ERR_UNKNOWN, text, sizeof text - 1);
    uint8_t info[14];
    put_be16(info, NBD_INFO_EXPORT);
    put_be64(info + 2, volume_size(v));
    put_be16(info + 10, export_flags(v));
    int r = reply(c, o->option, NBD_REP_INFO, info, 12);
    put_be16(info, NBD_INFO_BLOCK_SIZE);
    put_be32(info + 2, 1);
    put_be32(info + 6, BLOCK_SIZE);
    put_be32(info + 10, VOL_REQUEST_MAX);
    if (r == 0)
        r = reply(c, o->option, NBD_REP_INFO, info, 14);
    if (r == 0)
        r = reply(c, o->option, NBD_REP_ACK, NULL, 0);
    if (r == 0 && o->option == NBD_OPT_GO)
        begin(c, v);
    return r;
}

static int meta_context(struct nbd_conn *c, const struct nbd_option *o)
{
    struct nbd_meta m;
    bool list = o->option == NBD_OPT_LIST_META_CONTEXT;
    if (!c->structured || nbd_meta_decode(o->data, o->size, list, &m) < 0)
        return reply(c, o->option, NBD_REP_ERR_INVALID, NULL, 0);
    if (!find(c, m.name, m.name_len))
        return reply(c, o->option, NBD_REP_ERR_UNKNOWN, NULL, 0);
    if (!list)
        c->allocation = m.allocation;
    if (m.allocation) {
        static const char name[] = "\0\0\0\1base:allocation"; /* Id 1. */
        int r =
            reply(c, o->option, NBD_REP_META_CONTEXT, name, sizeof name - 1);
        if (r < 0)
            return r;
    }
    return reply(c, o->option, NBD_REP_ACK, NULL, 0);
}

struct list_ctx {
    struct nbd_conn *c;
    int r;
};
static void list_one(void *arg, struct volume *v)
{
    struct list_ctx *l = arg;
    uint8_t data[4 + VOL_ID_LEN];
    put_be32(data, VOL_ID_LEN);
    memcpy(data + 4, v->id, VOL_ID_LEN);
    if (l->r == 0)
        l->r = reply(l->c, NBD_OPT_LIST, NBD_REP_SERVER, data, sizeof data);
}

static int option(struct nbd_conn *c, const struct nbd_option *o)
{
    switch (o->option) {
    case NBD_OPT_EXPORT_NAME:
        return export_name(c, o);
    case NBD_OPT_ABORT: {
        int r = reply(c, o->option, NBD_REP_ACK, NULL, 0);
        c->closing_after_tx = true;
        return r;
    }
    case NBD_OPT_LIST: {
        if (o->size)
            return reply(c, o->option, NBD_REP_ERR_INVALID, NULL, 0);
        struct list_ctx l = { c, 0 };
        c->server->ops.each(c->server->ops.arg, list_one, &l);
        return l.r < 0 ? l.r : reply(c, o->option, NBD_REP_ACK, NULL, 0);
    }
    case NBD_OPT_INFO:
    case NBD_OPT_GO:
        return info_or_go(c, o);
    case NBD_OPT_STRUCTURED_REPLY:
        if (o->size)
            return reply(c, o->option, NBD_REP_ERR_INVALID, NULL, 0);
        c->structured = true;
        return reply(c, o->option, NBD_REP_ACK, NULL, 0);
    case NBD_OPT_LIST_META_CONTEXT:
    case NBD_OPT_SET_META_CONTEXT:
        return meta_context(c, o);
    default:
        return reply(c, o->option, NBD_REP_ERR_UNSUP, NULL, 0);
    }
}

long nbd_options_take(struct nbd_conn *c, const uint8_t *buf, size_t size)
{
    if (c->phase == NBD_FLAGS) {
        if (size < 4)
            return 0;
        struct wire w = { buf, buf + 4, 0 };
        uint32_t flags = wire_be32(&w);
        if (!(flags & NBD_FLAG_FIXED_NEWSTYLE) ||
            (flags & ~(uint32_t)(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)))
            return -EPROTO;
        c->no_zeroes = flags & NBD_FLAG_NO_ZEROES;
        c->phase = NBD_OPTIONS;
        return 4;
    }
    if (c->skip) {
        size_t n = size < c->skip ? size : (size_t)c->skip;
        c->skip -= n;
        return (long)n;
    }
    struct nbd_option o;
    int r = nbd_option_decode(buf, size, &o);
    if (r == -EAGAIN)
        return 0;
    if (r == -EMSGSIZE) {
        c->skip = o.size;
        r = reply(c, o.option, NBD_REP_ERR_TOO_BIG, NULL, 0);
        return r < 0 ? r : 16;
    }
    if (r == 0)
        r = option(c, &o);
    return r < 0 ? r : (long)(16 + o.size);
}

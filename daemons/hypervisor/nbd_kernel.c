/* nbd_kernel - see nbd_kernel.h.
 *
 * Generic netlink is spoken directly: four messages, whose attributes nest no
 * deeper than the sockets' list, do not need a library.  The handshake asks
 * with NBD_OPT_GO alone; a server too old for that is refused. */
#include "hypervisor/nbd_kernel.h"

#include <endian.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <linux/nbd.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

enum { MESSAGE_MAX = 4096, REPLY_MAX = 4096 };

/* --- netlink -------------------------------------------------------------- */
struct message {
    union {
        struct nlmsghdr h;
        uint8_t bytes[MESSAGE_MAX];
    };
    bool full; /* Sticky: an attribute did not fit. */
};

static void message_begin(struct message *m, uint16_t type, uint8_t cmd)
{
    *m = (struct message){ 0 };
    m->h.nlmsg_type = type;
    m->h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    m->h.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN;
    struct genlmsghdr *g = NLMSG_DATA(&m->h);
    g->cmd = cmd;
    g->version = 1;
}

/* Adds an attribute; returns its header, for nesting. */
static struct nlattr *put(struct message *m, uint16_t type, const void *data,
                          size_t size)
{
    size_t at = NLMSG_ALIGN(m->h.nlmsg_len);
    if (at + NLA_HDRLEN + NLA_ALIGN(size) > sizeof m->bytes) {
        m->full = true;
        return (struct nlattr *)(m->bytes + NLMSG_HDRLEN);
    }
    struct nlattr *a = (struct nlattr *)(m->bytes + at);
    a->nla_type = type;
    a->nla_len = (uint16_t)(NLA_HDRLEN + size);
    if (size)
        memcpy((uint8_t *)a + NLA_HDRLEN, data, size);
    m->h.nlmsg_len = (uint32_t)(at + NLA_HDRLEN + NLA_ALIGN(size));
    return a;
}

static void put_u32(struct message *m, uint16_t type, uint32_t v)
{
    put(m, type, &v, sizeof v);
}

static void put_u64(struct message *m, uint16_t type, uint64_t v)
{
    put(m, type, &v, sizeof v);
}

static void end_nest(struct message *m, struct nlattr *a)
{
    a->nla_len = (uint16_t)(m->bytes + m->h.nlmsg_len - (uint8_t *)a);
}

static const struct nlattr *find_attr(const void *attrs, size_t size,
                                      uint16_t type)
{
    const uint8_t *p = attrs;
    while (size >= NLA_HDRLEN) {
        const struct nlattr *a = (const struct nlattr *)p;
        if (a->nla_len < NLA_HDRLEN || a->nla_len > size)
            return NULL;
        if ((a->nla_type & NLA_TYPE_MASK) == type)
            return a;
        size_t step = NLA_ALIGN(a->nla_len);
        if (step >= size)
            return NULL;
        p += step;
        size -= step;
    }
    return NULL;
}

static const void *attr_data(const struct nlattr *a)
{
    return (const uint8_t *)a + NLA_HDRLEN;
}

static int open_netlink(struct sc_err *err)
{
    SC_AUTO(close)
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
    struct sockaddr_nl a = { .nl_family = AF_NETLINK };
    struct timeval limit = { .tv_sec = 30 };
    if (fd < 0 || bind(fd, (void *)&a, sizeof a) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
        return sc_fail(err, -errno, "nbd: netlink: %s", strerror(errno));
    return SC_TAKE_FD(fd);
}

/* Sends 'm' and reads until its acknowledgement.  'answer' (MESSAGE_MAX bytes,
 * NULL allowed) gets the message that came before it; '*ret_size' its size. */
static int transact(int fd, struct message *m, uint8_t *answer,
                    size_t *ret_size)
{
    if (m->full)
        return -EMSGSIZE;
    if (send(fd, m->bytes, m->h.nlmsg_len, 0) < 0)
        return -errno;
    for (;;) {
        union {
            struct nlmsghdr h;
            uint8_t bytes[2 * MESSAGE_MAX];
        } in;
        ssize_t n = recv(fd, &in, sizeof in, 0);
        if (n < 0)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        size_t size = (size_t)n;
        for (struct nlmsghdr *h = &in.h; NLMSG_OK(h, size);
             h = NLMSG_NEXT(h, size)) {
            if (h->nlmsg_type == NLMSG_ERROR) {
                struct nlmsgerr *e = NLMSG_DATA(h);
                return e->error;
            }
            if (answer && h->nlmsg_len <= MESSAGE_MAX) {
                memcpy(answer, h, h->nlmsg_len);
                *ret_size = h->nlmsg_len;
            }
        }
    }
}

/* The nbd family's number and, if asked for, its multicast group's. */
static int find_family(int fd, uint16_t *ret_id, uint32_t *ret_group,
                       struct sc_err *err)
{
    struct message m;
    uint8_t answer[MESSAGE_MAX] __attribute__((aligned(8)));
    size_t size = 0;
    const size_t head = NLMSG_HDRLEN + GENL_HDRLEN;
    message_begin(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
    put(&m, CTRL_ATTR_FAMILY_NAME, NBD_GENL_FAMILY_NAME,
        sizeof NBD_GENL_FAMILY_NAME);
    int r = transact(fd, &m, answer, &size);
    const struct nlattr *id =
        r == 0 && size > head
            ? find_attr(answer + head, size - head, CTRL_ATTR_FAMILY_ID)
            : NULL;
    if (!id)
        return sc_fail(err, r < 0 ? r : -ENOENT,
                       "nbd: the kernel has no nbd client; load module 'nbd'");
    memcpy(ret_id, attr_data(id), sizeof *ret_id);
    if (!ret_group)
        return 0;
    const struct nlattr *groups =
        find_attr(answer + head, size - head, CTRL_ATTR_MCAST_GROUPS);
    /* The family has one group: the list's first entry. */
    const struct nlattr *first =
        groups ? find_attr(attr_data(groups),
                           (size_t)groups->nla_len - NLA_HDRLEN, 1)
               : NULL;
    const struct nlattr *group =
        first ? find_attr(attr_data(first), (size_t)first->nla_len - NLA_HDRLEN,
                          CTRL_ATTR_MCAST_GRP_ID)
              : NULL;
    if (!group)
        return sc_fail(err, -ENOENT, "nbd: the kernel tells of no lost links");
    memcpy(ret_group, attr_data(group), sizeof *ret_group);
    return 0;
}

int nbd_kernel_watch(struct sc_err *err)
{
    SC_AUTO(close) int fd = open_netlink(err);
    uint16_t family = 0;
    uint32_t group = 0;
    if (fd < 0)
        return fd;
    int r = find_family(fd, &family, &group, err);
    if (r < 0)
        return r;
    if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
                   sizeof group) < 0)
        return sc_fail(err, -errno, "nbd: netlink group: %s", strerror(errno));
    return SC_TAKE_FD(fd);
}

/* --- the handshake ----------------------------------------------------------
 */
static uint32_t be32_at(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return be32toh(v);
}

static uint64_t be64_at(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return be64toh(v);
}

int nbd_go_reply(uint32_t type, const uint8_t *data, uint32_t size,
                 struct nbd_export *e, bool *has_info, struct sc_err *err)
{
    enum { ACK = 1, INFO = 3, INFO_EXPORT = 0 };
    const uint32_t error = 1u << 31, unknown = error | 6;
    if (type == ACK)
        return *has_info ? 0
                         : sc_fail(err, -EPROTO,
                                   "nbd: the server did not tell the size");
    if (type == unknown)
        return sc_fail(err, -ENOENT, "nbd: the server has no such export: %.*s",
                       (int)(size < 200 ? size : 200), (const char *)data);
    if (type & error)
        return sc_fail(err, -EPROTO, "nbd: the server refuses (%x): %.*s", type,
                       (int)(size < 200 ? size : 200), (const char *)data);
    if (type != INFO || size < 2)
        return sc_fail(err, -EPROTO, "nbd: unknown reply %x", type);
    if (data[0] == 0 && data[1] == INFO_EXPORT) {
        if (size != 12)
            return sc_fail(err, -EPROTO, "nbd: malformed export information");
        e->size = be64_at(data + 2);
        e->flags = (uint16_t)(data[10] << 8 | data[11]);
        *has_info = true;
    }
    return 1;
}

static int receive(int fd, void *buf, size_t size)
{
    ssize_t n = recv(fd, buf, size, MSG_WAITALL);
    if (n == (ssize_t)size)
        return 0;
    return n >= 0 ? -ECONNRESET : errno == EAGAIN ? -ETIMEDOUT : -errno;
}

static int send_go(int fd, const char *name)
{
    uint8_t buf[512];
    uint32_t len = (uint32_t)strlen(name);
    if (len > 255)
        return -ENAMETOOLONG;
    uint32_t client_flags = htobe32(3); /* Fixed newstyle, no zeroes. */
    uint64_t magic = htobe64(0x49484156454F5054ull);
    uint32_t fields[] = { htobe32(7), htobe32(4 + len + 2), htobe32(len) };
    size_t n = 0;
    memcpy(buf + n, &client_flags, 4), n += 4;
    memcpy(buf + n, &magic, 8), n += 8;
    memcpy(buf + n, fields, sizeof fields), n += sizeof fields;
    /* Sent with its length.  NOLINTNEXTLINE(bugprone-not-null*) */
    memcpy(buf + n, name, len), n += len;
    memset(buf + n, 0, 2), n += 2; /* No information requests. */
    return send(fd, buf, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -errno;
}

static int handshake(int fd, const char *name, struct nbd_export *ret,
                     struct sc_err *err)
{
    uint8_t hello[18], head[20], data[REPLY_MAX];
    int r = receive(fd, hello, sizeof hello);
    if (r < 0)
        return sc_fail(err, r, "nbd: the server's greeting: %s", strerror(-r));
    if (be64_at(hello) != 0x4e42444d41474943ull ||
        be64_at(hello + 8) != 0x49484156454F5054ull || !(hello[17] & 1))
        return sc_fail(err, -EPROTO, "nbd: not a fixed newstyle server");
    if ((r = send_go(fd, name)) < 0)
        return sc_fail(err, r, "nbd: handshake: %s", strerror(-r));
    struct nbd_export e = { 0 };
    bool has_info = false;
    do {
        if ((r = receive(fd, head, sizeof head)) < 0)
            return sc_fail(err, r, "nbd: handshake: %s", strerror(-r));
        uint32_t size = be32_at(head + 16);
        if (be64_at(head) != 0x3e889045565a9ull || size > sizeof data)
            return sc_fail(err, -EPROTO, "nbd: malformed reply");
        if (size && (r = receive(fd, data, size)) < 0)
            return sc_fail(err, r, "nbd: handshake: %s", strerror(-r));
        r = nbd_go_reply(be32_at(head + 12), data, size, &e, &has_info, err);
    } while (r > 0);
    if (r == 0)
        *ret = e;
    return r;
}

static int connect_export(const char *path, const char *name,
                          struct nbd_export *ret, struct sc_err *err)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    struct timeval limit = { .tv_sec = NBD_HANDSHAKE_S };
    if (strlen(path) >= sizeof a.sun_path)
        return sc_fail(err, -ENAMETOOLONG, "nbd: %s: path too long", path);
    memcpy(a.sun_path, path, strlen(path) + 1);
    SC_AUTO(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
        connect(fd, (void *)&a, sizeof a) < 0)
        return sc_fail(err, -errno, "nbd: %s: %s", path, strerror(errno));
    int r = handshake(fd, name, ret, err);
    if (r < 0)
        return r;
    limit.tv_sec = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return SC_TAKE_FD(fd);
}

/* --- devices
 * ------------------------------------------------------------------ */
static void put_socket(struct message *m, int fd)
{
    struct nlattr *list = put(m, NBD_ATTR_SOCKETS | NLA_F_NESTED, NULL, 0);
    struct nlattr *item = put(m, NBD_SOCK_ITEM | NLA_F_NESTED, NULL, 0);
    put_u32(m, NBD_SOCK_FD, (uint32_t)fd);
    end_nest(m, item);
    end_nest(m, list);
}

int nbd_kernel_attach(const char *path, const char *name, uint64_t size,
                      bool readonly, int *ret_index, struct sc_err *err)
{
    struct nbd_export e = { 0 };
    struct message m;
    uint8_t answer[MESSAGE_MAX] __attribute__((aligned(8)));
    size_t n = 0;
    uint16_t family = 0;
    const size_t head = NLMSG_HDRLEN + GENL_HDRLEN;
    SC_AUTO(close) int nl = open_netlink(err);
    int r = nl < 0 ? nl : find_family(nl, &family, NULL, err);
    if (r < 0)
        return r;
    SC_AUTO(close) int fd = connect_export(path, name, &e, err);
    if (fd < 0)
        return fd;
    if (e.size != size)
        return sc_fail(err, -EBADMSG, "nbd: '%s' has %llu bytes, not %llu",
                       name, (unsigned long long)e.size,
                       (unsigned long long)size);
    message_begin(&m, family, NBD_CMD_CONNECT);
    put_u64(&m, NBD_ATTR_SIZE_BYTES, e.size);
    /* What disks usually say: images with partition tables count on it. */
    put_u64(&m, NBD_ATTR_BLOCK_SIZE_BYTES, 512);
    put_u64(&m, NBD_ATTR_SERVER_FLAGS,
            e.flags | (readonly ? NBD_FLAG_READ_ONLY : 0));
    put_u64(&m, NBD_ATTR_DEAD_CONN_TIMEOUT, NBD_DEAD_S);
    put_socket(&m, fd);
    r = transact(nl, &m, answer, &n);
    const struct nlattr *index =
        r == 0 && n > head ? find_attr(answer + head, n - head, NBD_ATTR_INDEX)
                           : NULL;
    if (!index)
        return sc_fail(err, r < 0 ? r : -EPROTO, "nbd: connect '%s': %s", name,
                       strerror(r < 0 ? -r : EPROTO));
    uint32_t i;
    memcpy(&i, attr_data(index), sizeof i);
    *ret_index = (int)i;
    return 0;
}

int nbd_kernel_detach(int index, struct sc_err *err)
{
    struct message m;
    uint16_t family = 0;
    SC_AUTO(close) int nl = open_netlink(err);
    int r = nl < 0 ? nl : find_family(nl, &family, NULL, err);
    if (r < 0)
        return r;
    message_begin(&m, family, NBD_CMD_DISCONNECT);
    put_u32(&m, NBD_ATTR_INDEX, (uint32_t)index);
    r = transact(nl, &m, NULL, NULL);
    if (r == 0 || r == -EINVAL || r == -ENOENT) /* Not connected: done. */
        return 0;
    return sc_fail(err, r, "nbd: disconnect /dev/nbd%d: %s", index,
                   strerror(-r));
}

int nbd_kernel_reconnect(int index, const char *path, const char *name,
                         struct sc_err *err)
{
    struct nbd_export e = { 0 };
    struct message m;
    uint16_t family = 0;
    SC_AUTO(close) int nl = open_netlink(err);
    int r = nl < 0 ? nl : find_family(nl, &family, NULL, err);
    if (r < 0)
        return r;
    SC_AUTO(close) int fd = connect_export(path, name, &e, err);
    if (fd < 0)
        return fd;
    message_begin(&m, family, NBD_CMD_RECONFIGURE);
    put_u32(&m, NBD_ATTR_INDEX, (uint32_t)index);
    put_socket(&m, fd);
    r = transact(nl, &m, NULL, NULL);
    /* No dead link to give it to: the kernel says -ENOSPC. */
    if (r == -ENOSPC)
        return sc_fail(err, -EEXIST, "nbd: /dev/nbd%d is connected", index);
    return r == 0 ? 0
                  : sc_fail(err, r, "nbd: reconnect /dev/nbd%d: %s", index,
                            strerror(-r));
}

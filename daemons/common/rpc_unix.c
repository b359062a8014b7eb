/* rpc_unix - RPC over Unix sockets, one JSON document a line (rpc.h).
 *
 * 'struct stream' is one connection of either side.  It closes in two steps:
 * the rpc_conn asks (or the socket fails), then, from the loop, what is unsent
 * gets FLUSH_MS to leave, and the stream and its rpc_conn are freed. */
#include "common/rpc_client.h"
#include "common/rpc.h"

#include <grp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum {
    READ_SIZE = 64 << 10, /* bytes a read(2) */
    FLUSH_MS = 1000,
    ACCEPT_PAUSE_MS = 1000, /* When out of file descriptors. */
    PEERS_MAX = 256,
};

struct buffer {
    char *data; /* Owned. */
    size_t start, end, size;
};

struct stream {
    struct stream *next, **prev; /* The server's list. */
    struct sc_loop *loop;
    int fd;                      /* Owned. */
    struct sc_source *io, *quit; /* Owned. */
    struct buffer in, out;
    size_t scanned; /* Bytes from in.start known to hold no newline. */
    struct rpc_conn *conn;
    struct sc_err why;
    bool closing;
    bool *gone; /* Set true when freed below a callback. */
    void (*on_end)(void *owner, struct stream *s); /* Before it is freed. */
    void *owner;
};

struct rpc_unix_server {
    struct sc_loop *loop;
    const struct rpc_service *service;
    char *path;                       /* Owned. */
    int fd;                           /* Owned. */
    struct sc_source *accept, *pause; /* Owned. */
    struct stream *streams;
    unsigned n_streams;
};

struct unix_client {
    struct rpc_client up; /* Must be first. */
    struct sc_loop *loop;
    const struct rpc_service *service;
    char *path;              /* Owned. */
    struct sc_source *retry; /* Owned. */
    struct stream *stream;   /* Owned; NULL: not connected. */
    uint64_t backoff_ms, up_at;
    bool freeing;
};

uint64_t rpc_backoff_next(uint64_t last_ms)
{
    uint64_t ms = last_ms ? last_ms * 2 : RPC_BACKOFF_MIN_MS;
    return ms < RPC_BACKOFF_MAX_MS ? ms : RPC_BACKOFF_MAX_MS;
}

/* --- buffers ------------------------------------------------------------ */

/* Makes room for 'more' bytes at the end. */
static int buffer_reserve(struct buffer *b, size_t more)
{
    if (b->size - b->end >= more)
        return 0;
    if (b->start > 0)
        memmove(b->data, b->data + b->start, b->end - b->start);
    b->end -= b->start;
    b->start = 0;
    if (b->size - b->end >= more)
        return 0;
    size_t size = b->size ? b->size : READ_SIZE;
    while (size - b->end < more)
        size *= 2;
    char *data = realloc(b->data, size);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->size = size;
    return 0;
}

static void buffer_take(struct buffer *b, size_t size)
{
    b->start += size;
    if (b->start == b->end) {
        b->start = b->end = 0;
        if (b->size > 1 << 20) { /* One large message is no reason to keep. */
            free(b->data);
            *b = (struct buffer){ 0 };
        }
    }
}

/* --- streams ------------------------------------------------------------ */

static void stream_free(struct stream *s)
{
    if (!s)
        return;
    struct rpc_conn *conn = SC_TAKE(s->conn);
    struct sc_err why = s->why;
    if (s->gone)
        *s->gone = true;
    s->on_end(s->owner, s);
    sc_source_free(s->io);
    sc_source_free(s->quit);
    if (s->fd >= 0)
        close(s->fd);
    free(s->in.data);
    free(s->out.data);
    free(s);
    rpc_conn_free(conn, &why); /* Last: it calls out. */
}

static void stream_on_quit(void *arg)
{
    stream_free(arg);
}

/* Ends the stream from the loop; 'flush': after what is unsent has left. */
static void stream_end(struct stream *s, bool flush)
{
    flush = flush && s->out.start < s->out.end;
    if (s->closing && (flush || !s->io))
        return;
    s->closing = true;
    if (flush) {
        sc_source_set_events(s->io, EPOLLOUT);
    } else {
        sc_source_free(s->io);
        s->io = NULL;
    }
    sc_source_free(s->quit);
    s->quit = NULL;
    int r = sc_loop_add_timer(s->loop, flush ? FLUSH_MS : 0, 0, stream_on_quit,
                              s, &s->quit);
    if (r < 0) /* Out of memory: at least the peer must notice. */
        shutdown(s->fd, SHUT_RDWR);
}

/* Writes what it can; false if the socket failed. */
static bool stream_write(struct stream *s)
{
    while (s->out.start < s->out.end) {
        ssize_t n = send(s->fd, s->out.data + s->out.start,
                         s->out.end - s->out.start, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n < 0) {
            sc_fail(&s->why, -errno, "send: %s", strerror(errno));
            return false;
        }
        buffer_take(&s->out, (size_t)n);
    }
    return true;
}

static int stream_send(void *impl, const char *text, size_t size)
{
    struct stream *s = impl;
    if (s->out.end - s->out.start + size + 1 > RPC_OUT_MAX)
        return -ENOBUFS;
    int r = buffer_reserve(&s->out, size + 1);
    if (r < 0)
        return r;
    memcpy(s->out.data + s->out.end, text, size);
    s->out.data[s->out.end + size] = '\n';
    s->out.end += size + 1;
    if (!stream_write(s))
        return s->why.code;
    if (s->out.start < s->out.end)
        sc_source_set_events(s->io, EPOLLIN | EPOLLOUT);
    return 0;
}

static void stream_close(void *impl)
{
    stream_end(impl, true);
}

static const struct rpc_transport unix_transport = { .send = stream_send,
                                                     .close = stream_close };

/* Hands whole lines to the conn; false once 's' is gone or closing. */
static bool stream_lines(struct stream *s)
{
    bool gone = false;
    s->gone = &gone; /* cppcheck-suppress autoVariables; reset below */
    while (!s->closing) {
        char *begin = s->in.data + s->in.start;
        size_t have = s->in.end - s->in.start;
        char *nl = have > s->scanned
                       ? memchr(begin + s->scanned, '\n', have - s->scanned)
                       : NULL;
        if (!nl) {
            s->scanned = have;
            if (have > RPC_MESSAGE_MAX) {
                sc_fail(&s->why, -EMSGSIZE, "a message over %d bytes",
                        RPC_MESSAGE_MAX);
                stream_end(s, false);
            }
            break;
        }
        size_t size = (size_t)(nl - begin);
        s->scanned = 0;
        if (size > 0)
            rpc_conn_receive(s->conn, begin, size);
        if (gone)
            return false;
        buffer_take(&s->in, size + 1);
    }
    s->gone = NULL;
    return !s->closing;
}

static void stream_read(struct stream *s)
{
    for (int i = 0; i < 16; i++) { /* Then others have their turn. */
        if (buffer_reserve(&s->in, READ_SIZE) < 0) {
            sc_fail(&s->why, -ENOMEM, "out of memory");
            stream_end(s, false);
            return;
        }
        ssize_t n = recv(s->fd, s->in.data + s->in.end, READ_SIZE, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            if (n < 0)
                sc_fail(&s->why, -errno, "receive: %s", strerror(errno));
            else
                sc_fail(&s->why, -ECONNRESET, "closed by the other side");
            stream_end(s, false);
            return;
        }
        s->in.end += (size_t)n;
        if (!stream_lines(s))
            return;
    }
}

static void stream_on_io(void *arg, int fd, uint32_t events)
{
    (void)fd;
    struct stream *s = arg;
    if (events & EPOLLOUT) {
        if (!stream_write(s)) {
            stream_end(s, false);
            return;
        }
        if (s->out.start == s->out.end) {
            if (s->closing) {
                stream_end(s, false);
                return;
            }
            sc_source_set_events(s->io, EPOLLIN);
        }
    }
    if (s->closing) {
        if (events & (EPOLLERR | EPOLLHUP))
            stream_end(s, false);
        return;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        stream_read(s);
}

/* Takes 'fd' in every case. */
static struct stream *stream_new(struct sc_loop *loop, int fd,
                                 const struct rpc_service *service,
                                 void (*on_end)(void *, struct stream *),
                                 void *owner)
{
    struct ucred cred = { 0 };
    socklen_t size = sizeof cred;
    char peer[32] = "pid ?";
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0)
        snprintf(peer, sizeof peer, "pid %d", (int)cred.pid);
    struct stream *s = calloc(1, sizeof *s);
    if (!s) {
        close(fd);
        return NULL;
    }
    *s = (struct stream){
        .loop = loop, .fd = fd, .on_end = on_end, .owner = owner
    };
    s->conn =
        rpc_conn_new(loop, &unix_transport, s, service, RPC_ROLE_LOCAL, peer);
    if (!s->conn ||
        sc_loop_add_fd(loop, fd, EPOLLIN, stream_on_io, s, &s->io) < 0) {
        /* Nobody was told of it: no stream_free, which would call 'down'. */
        free(s->conn);
        close(fd);
        free(s);
        return NULL;
    }
    return s;
}

/* --- server ------------------------------------------------------------- */

static void server_on_stream_end(void *owner, struct stream *s)
{
    struct rpc_unix_server *server = owner;
    *s->prev = s->next;
    if (s->next)
        s->next->prev = s->prev;
    server->n_streams--;
}

static void server_on_pause_end(void *arg)
{
    struct rpc_unix_server *s = arg;
    sc_source_free(s->pause);
    s->pause = NULL;
    sc_source_set_events(s->accept, EPOLLIN);
}

static void server_on_accept(void *arg, int fd, uint32_t events)
{
    (void)events;
    struct rpc_unix_server *server = arg;
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (peer < 0) {
        if ((errno == EMFILE || errno == ENFILE || errno == ENOMEM) &&
            !server->pause &&
            sc_loop_add_timer(server->loop, ACCEPT_PAUSE_MS, 0,
                              server_on_pause_end, server, &server->pause) == 0)
            sc_source_set_events(server->accept, 0);
        return;
    }
    if (server->n_streams >= PEERS_MAX) {
        close(peer);
        return;
    }
    struct stream *s = stream_new(server->loop, peer, server->service,
                                  server_on_stream_end, server);
    if (!s)
        return;
    s->prev = &server->streams;
    s->next = server->streams;
    if (s->next)
        s->next->prev = &s->next;
    server->streams = s;
    server->n_streams++;
    rpc_conn_up(s->conn);
}

static int unix_address(const char *path, struct sockaddr_un *ret,
                        struct sc_err *err)
{
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof ret->sun_path)
        return sc_fail(err, -ENAMETOOLONG, "%s: longer than %zu characters",
                       path, sizeof ret->sun_path - 1);
    memcpy(ret->sun_path, path, strlen(path));
    return 0;
}

/* Removes a socket that nobody serves any more; -EADDRINUSE if one does. */
static int remove_stale(const struct sockaddr_un *sa, struct sc_err *err)
{
    struct stat st;
    if (lstat(sa->sun_path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return sc_fail(err, -EEXIST, "%s: exists and is no socket",
                       sa->sun_path);
    SC_AUTO(close)
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return sc_fail(err, -errno, "socket: %s", strerror(errno));
    if (connect(fd, (const struct sockaddr *)sa, sizeof *sa) == 0 ||
        errno == EAGAIN)
        return sc_fail(err, -EADDRINUSE, "%s: another process serves it",
                       sa->sun_path);
    if (unlink(sa->sun_path) < 0 && errno != ENOENT)
        return sc_fail(err, -errno, "%s: unlink: %s", sa->sun_path,
                       strerror(errno));
    return 0;
}

int rpc_unix_listen(struct sc_loop *loop, const char *path,
                    const struct rpc_service *service,
                    struct rpc_unix_server **ret, struct sc_err *err)
{
    struct sockaddr_un sa;
    int r = unix_address(path, &sa, err);
    if (r == 0)
        r = remove_stale(&sa, err);
    if (r < 0)
        return r;
    SC_AUTO(rpc_unix_server_free)
    struct rpc_unix_server *s = calloc(1, sizeof *s);
    if (!s)
        return sc_fail(err, -ENOMEM, "%s: out of memory", path);
    s->loop = loop;
    s->service = service;
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&sa, sizeof sa) < 0)
        return sc_fail(err, -errno, "%s: bind: %s", path, strerror(errno));
    s->path = strdup(path);
    if (!s->path) {
        unlink(path);
        return sc_fail(err, -ENOMEM, "%s: out of memory", path);
    }
    /* Nobody can connect before listen(2), so there is no moment with the
     * wrong mode.  The group is for people allowed to ask the daemons. */
    struct group *group = getgrnam("supercloud");
    if (group && chown(path, (uid_t)-1, group->gr_gid) < 0)
        errno = 0; /* Not a member: stays with our own group. */
    if (chmod(path, 0660) < 0 || listen(s->fd, 64) < 0)
        return sc_fail(err, -errno, "%s: listen: %s", path, strerror(errno));
    r = sc_loop_add_fd(loop, s->fd, EPOLLIN, server_on_accept, s, &s->accept);
    if (r < 0)
        return sc_fail(err, r, "%s: %s", path, strerror(-r));
    *ret = SC_TAKE(s);
    return 0;
}

void rpc_unix_server_free(struct rpc_unix_server *s)
{
    if (!s)
        return;
    sc_source_free(s->accept);
    sc_source_free(s->pause);
    while (s->streams)
        stream_free(s->streams);
    if (s->path)
        unlink(s->path);
    free(s->path);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

/* --- client ------------------------------------------------------------- */

static void client_try(void *arg);

static void client_retry(struct unix_client *c, uint64_t after_ms)
{
    sc_source_free(c->retry);
    c->retry = NULL;
    /* A failure means out of memory; there is no later then. */
    if (sc_loop_add_timer(c->loop, after_ms, 0, client_try, c, &c->retry) < 0)
        c->retry = NULL;
}

static void client_on_stream_end(void *owner, struct stream *s)
{
    (void)s;
    struct unix_client *c = owner;
    c->up.conn = NULL;
    c->stream = NULL;
    if (c->freeing)
        return;
    if (sc_mono_ms() - c->up_at >= RPC_STABLE_MS)
        c->backoff_ms = 0;
    c->backoff_ms = rpc_backoff_next(c->backoff_ms);
    client_retry(c, c->backoff_ms);
}

static void client_try(void *arg)
{
    struct unix_client *c = arg;
    struct sockaddr_un sa;
    if (unix_address(c->path, &sa, NULL) < 0)
        return; /* Was checked when it was made. */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
        close(fd);
        fd = -1;
    }
    if (fd >= 0)
        c->stream =
            stream_new(c->loop, fd, c->service, client_on_stream_end, c);
    if (!c->stream) {
        c->backoff_ms = rpc_backoff_next(c->backoff_ms);
        client_retry(c, c->backoff_ms);
        return;
    }
    c->up_at = sc_mono_ms();
    c->up.conn = c->stream->conn;
    rpc_conn_up(c->up.conn);
}

static void unix_client_free(struct rpc_client *up)
{
    struct unix_client *c = (struct unix_client *)up;
    c->freeing = true;
    sc_source_free(c->retry);
    stream_free(c->stream);
    free(c->path);
    free(c);
}

int rpc_unix_client_new(struct sc_loop *loop, const char *path,
                        const struct rpc_service *service,
                        struct rpc_client **ret, struct sc_err *err)
{
    struct sockaddr_un sa;
    int r = unix_address(path, &sa, err);
    if (r < 0)
        return r;
    struct unix_client *c = calloc(1, sizeof *c);
    char *copy = strdup(path);
    r = c && copy ? 0 : -ENOMEM;
    if (r == 0) {
        *c = (struct unix_client){ .up.free = unix_client_free,
                                   .loop = loop,
                                   .service = service,
                                   .path = copy };
        r = sc_loop_add_timer(loop, 0, 0, client_try, c, &c->retry);
    }
    if (r < 0) {
        free(copy);
        free(c);
        return sc_fail(err, r, "%s: %s", path, strerror(-r));
    }
    *ret = &c->up;
    return 0;
}

struct rpc_conn *rpc_client_conn(struct rpc_client *c)
{
    return c ? c->conn : NULL;
}

void rpc_client_free(struct rpc_client *c)
{
    if (c)
        c->free(c);
}

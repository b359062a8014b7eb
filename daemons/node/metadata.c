/* metadata - see metadata.h.
 *
 * The answer is collected in one buffer and looked at as a whole each time
 * something arrives: answers are a few hundred bytes.  http_head_parse writes
 * into what it reads, so it works on a copy until all is there. */
#include "node/metadata.h"

#include "common/config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct metadata_call {
    struct sc_loop *loop;
    metadata_done_fn *done;
    void *arg;
    int fd;
    struct sc_source *source, *timer;
    char *out; /* Owned.  What is sent. */
    size_t out_size, out_done;
    char in[METADATA_ANSWER_MAX + 1];
    size_t in_size;
};

/* --- pure ----------------------------------------------------------------- */

static bool is_near(const struct in6_addr *a)
{
    if (IN6_IS_ADDR_V4MAPPED(a))
        return a->s6_addr[12] == 127 ||
               (a->s6_addr[12] == 169 && a->s6_addr[13] == 254);
    return IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_LINKLOCAL(a);
}

int metadata_address(const char *text, struct sockaddr_in6 *ret,
                     struct sc_err *err)
{
    char host[SC_HOST_MAX + 1], mapped[SC_HOST_MAX + 8];
    struct sockaddr_in6 a = { .sin6_family = AF_INET6 };
    uint16_t port;
    if (sc_host_port_split(text, 80, host, &port) < 0)
        return sc_fail(err, -EINVAL, "metadata: '%.64s' is not HOST:PORT",
                       text);
    snprintf(mapped, sizeof mapped, "::ffff:%s", host);
    if (inet_pton(AF_INET6, host, &a.sin6_addr) != 1 &&
        inet_pton(AF_INET6, mapped, &a.sin6_addr) != 1)
        return sc_fail(err, -EINVAL, "metadata: '%.64s' is not an IP address",
                       host);
    if (!is_near(&a.sin6_addr))
        return sc_fail(err, -EACCES,
                       "metadata: '%.64s' is neither link-local nor loopback",
                       host);
    a.sin6_port = htons(port);
    *ret = a;
    return 0;
}

/* A decimal or hexadecimal number up to the end of 'text' or one of 'ends'. */
static int read_size(const char *text, int base, const char *ends, size_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, base);
    if (errno || end == text || *text == '-' || *text == '+' ||
        (*end && !strchr(ends, *end)))
        return -EPROTO;
    if (v > METADATA_ANSWER_MAX)
        return -EMSGSIZE;
    *ret = (size_t)v;
    return 0;
}

/* Chunks (RFC 9112 section 7.1), moved together at 'body'.  1, 0, -errno. */
static int parse_chunks(char *body, size_t size, size_t *ret_size)
{
    size_t at = 0, put = 0;
    for (;;) {
        char *line = body + at;
        char *end = memmem(line, size - at, "\r\n", 2);
        size_t chunk;
        if (!end)
            return 0;
        *end = '\0';
        int r = read_size(line, 16, "; ", &chunk);
        if (r < 0)
            return r;
        at = (size_t)(end - body) + 2;
        if (chunk == 0)
            break;
        if (size - at < chunk + 2)
            return 0;
        if (memcmp(body + at + chunk, "\r\n", 2) != 0)
            return -EPROTO;
        memmove(body + put, body + at, chunk);
        put += chunk;
        at += chunk + 2;
    }
    body[put] = '\0';
    *ret_size = put;
    return 1; /* A trailer, if any, is of no interest. */
}

/* Where the body is and whether it is whole. */
static int parse_body(struct metadata_answer *a, char *body, size_t size,
                      bool eof)
{
    const char *length = http_head_get(&a->head, "Content-Length");
    size_t want = size;
    a->body = body;
    if (http_head_has_token(&a->head, "Transfer-Encoding", "chunked"))
        return parse_chunks(body, size, &a->size);
    if (length) {
        int r = read_size(length, 10, "", &want);
        if (r < 0)
            return r;
    } else if (!eof && a->status != 204 && a->status != 304) {
        return 0; /* It ends with the connection. */
    }
    if (size < want)
        return 0;
    body[want] = '\0';
    a->size = want;
    return 1;
}

int metadata_parse(char *buf, size_t size, bool eof,
                   struct metadata_answer *ret)
{
    SC_AUTO(free) char *copy = NULL;
    struct metadata_answer a = { 0 };
    size_t status;
    if (!memmem(buf, size, "\r\n\r\n", 4))
        return eof ? -EPROTO : size >= HTTP_HEAD_MAX ? -EMSGSIZE : 0;
    copy = malloc(size + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, buf, size);
    copy[size] = '\0';
    long head = http_head_parse(copy, size, &a.head);
    if (head <= 0)
        return head < 0 ? (int)head : -EPROTO;
    if (strncmp(a.head.first, "HTTP/1.", 7) != 0 ||
        read_size(a.head.second, 10, "", &status) < 0 || status < 200 ||
        status > 599)
        return -EPROTO;
    a.status = (int)status;
    int r = parse_body(&a, copy + head, size - (size_t)head, eof);
    if (r <= 0)
        return r == 0 && eof ? -EPROTO : r;
    /* It is whole: the same again, where the caller keeps it. */
    memset(&ret->head, 0, sizeof ret->head);
    head = http_head_parse(buf, size, &ret->head);
    ret->status = a.status;
    return parse_body(ret, buf + head, size - (size_t)head, eof);
}

/* --- the call ------------------------------------------------------------- */

void metadata_cancel(struct metadata_call *c)
{
    if (!c)
        return;
    sc_source_free(c->source);
    sc_source_free(c->timer);
    close_p(&c->fd);
    free(c->out);
    free(c);
}

static void finish(struct metadata_call *c, const struct metadata_answer *a,
                   const struct sc_err *err)
{
    metadata_done_fn *done = c->done;
    void *arg = c->arg;
    done(arg, a, err);
    metadata_cancel(c);
}

static void fail(struct metadata_call *c, int code)
{
    struct sc_err err;
    sc_fail(&err, code, "metadata service: %s", strerror(-code));
    finish(c, NULL, &err);
}

static void on_timeout(void *arg)
{
    fail(arg, -ETIMEDOUT);
}

/* Sends what is left; true: goes on. */
static bool send_more(struct metadata_call *c)
{
    ssize_t n = send(c->fd, c->out + c->out_done, c->out_size - c->out_done,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n < 0) {
        fail(c, -errno);
        return false;
    }
    c->out_done += (size_t)n;
    if (c->out_done == c->out_size)
        sc_source_set_events(c->source, EPOLLIN);
    return true;
}

static void receive(struct metadata_call *c)
{
    struct sc_err none = { 0 };
    struct metadata_answer a;
    ssize_t n = recv(c->fd, c->in + c->in_size,
                     METADATA_ANSWER_MAX - c->in_size, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        fail(c, -errno);
        return;
    }
    c->in_size += (size_t)n;
    int r = metadata_parse(c->in, c->in_size, n == 0, &a);
    if (r == 0 && c->in_size == METADATA_ANSWER_MAX)
        r = -EMSGSIZE;
    if (r < 0)
        fail(c, r);
    else if (r > 0)
        finish(c, &a, &none);
}

static void on_fd(void *arg, int fd, uint32_t events)
{
    struct metadata_call *c = arg;
    int code = 0;
    socklen_t len = sizeof code;
    if (events & (EPOLLERR | EPOLLHUP) && c->out_done < c->out_size) {
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len);
        fail(c, code ? -code : -ECONNRESET);
        return;
    }
    if (c->out_done < c->out_size && events & EPOLLOUT && !send_more(c))
        return;
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        receive(c);
}

static int format(struct metadata_call *c, const struct sockaddr_in6 *to,
                  const struct metadata_request *q)
{
    char host[INET6_ADDRSTRLEN] = "";
    bool v4 = IN6_IS_ADDR_V4MAPPED(&to->sin6_addr);
    inet_ntop(v4 ? AF_INET : AF_INET6,
              v4 ? (const void *)&to->sin6_addr.s6_addr[12]
                 : (const void *)&to->sin6_addr,
              host, sizeof host);
    int n =
        asprintf(&c->out,
                 "%s %s HTTP/1.1\r\nHost: %s%s%s\r\n"
                 "Connection: close\r\n%s%s\r\n",
                 q->method, q->path, v4 ? "" : "[", host, v4 ? "" : "]",
                 q->headers ? q->headers : "",
                 strcmp(q->method, "PUT") == 0 ? "Content-Length: 0\r\n" : "");
    if (n < 0) {
        c->out = NULL;
        return -ENOMEM;
    }
    c->out_size = (size_t)n;
    return 0;
}

int metadata_ask(struct sc_loop *loop, const struct sockaddr_in6 *to,
                 const struct metadata_request *q, metadata_done_fn *done,
                 void *arg, struct metadata_call **ret, struct sc_err *err)
{
    struct metadata_call *c = calloc(1, sizeof *c);
    if (!c)
        return sc_fail(err, -ENOMEM, "metadata: out of memory");
    c->loop = loop;
    c->done = done;
    c->arg = arg;
    c->fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = c->fd < 0 ? -errno : format(c, to, q);
    if (r == 0 && connect(c->fd, (const struct sockaddr *)to, sizeof *to) < 0 &&
        errno != EINPROGRESS)
        r = -errno;
    if (r == 0)
        r = sc_loop_add_fd(loop, c->fd, EPOLLOUT, on_fd, c, &c->source);
    if (r == 0)
        r = sc_loop_add_timer(loop, q->timeout_ms, 0, on_timeout, c, &c->timer);
    if (r < 0) {
        metadata_cancel(c);
        return sc_fail(err, r, "metadata service: %s", strerror(-r));
    }
    *ret = c;
    return 0;
}

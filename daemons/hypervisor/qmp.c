/* qmp - see qmp.h.  Output is small (commands of some hundred bytes), so it is
 * sent at once and a full socket, which only a hung QEMU can bring about,
 * ends the connection. */
#include "hypervisor/qmp.h"

#include "common/json.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

struct pending {
    uint64_t id; /* 0: free. */
    qmp_done_fn *done;
    void *arg;
};
struct qmp {
    struct sc_loop *loop;
    const struct qmp_events *events;
    void *arg;
    int fd;
    struct sc_source *source, *fail_timer;
    bool greeted, down;
    uint64_t last_id;
    struct pending pending[QMP_PENDING_MAX];
    char *line;
    size_t len, size;
    bool *freed; /* Set while a callback of ours runs. */
};

static void qmp_input(void *arg, int fd, uint32_t events);
static void fail_pending(void *arg);

int qmp_open(struct sc_loop *loop, const char *path,
             const struct qmp_events *events, void *arg, struct qmp **ret,
             struct sc_err *err)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof a.sun_path)
        return sc_fail(err, -ENAMETOOLONG, "%s: too long for a socket", path);
    memcpy(a.sun_path, path, strlen(path) + 1);
    SC_AUTO(close)
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return sc_fail(err, -errno, "%s: %s", path, strerror(errno));
    SC_AUTO(qmp_free) struct qmp *q = calloc(1, sizeof *q);
    if (!q)
        return sc_fail(err, -ENOMEM, "qmp: out of memory");
    q->loop = loop;
    q->events = events;
    q->arg = arg;
    q->fd = SC_TAKE_FD(fd);
    int r = sc_loop_add_fd(loop, q->fd, EPOLLIN, qmp_input, q, &q->source);
    if (r < 0)
        return sc_fail(err, r, "qmp: %s", strerror(-r));
    *ret = SC_TAKE(q);
    return 0;
}

void qmp_free(struct qmp *q)
{
    if (!q)
        return;
    if (q->freed)
        *q->freed = true;
    sc_source_free(q->source);
    sc_source_free(q->fail_timer);
    close_p(&q->fd);
    free(q->line);
    free(q);
}

static void fail_soon(struct qmp *q)
{
    q->down = true;
    sc_source_free(SC_TAKE(q->source));
    if (!q->fail_timer &&
        sc_loop_add_timer(q->loop, 0, 0, fail_pending, q, &q->fail_timer) < 0)
        abort(); /* No memory for a timer of 100 bytes. */
}

static void send_text(struct qmp *q, const char *text, int fd)
{
    size_t len = strlen(text);
    struct iovec iov = { (void *)(uintptr_t)text, len };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    if (fd >= 0) {
        m.msg_control = control.buf;
        m.msg_controllen = sizeof control.buf;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    if (sendmsg(q->fd, &m, MSG_NOSIGNAL) != (ssize_t)len)
        fail_soon(q);
}

void qmp_command(struct qmp *q, const char *name, cJSON *params, int fd,
                 qmp_done_fn *done, void *arg)
{
    struct pending *p = NULL;
    for (size_t i = 0; i < QMP_PENDING_MAX && !p; i++)
        if (q->pending[i].id == 0)
            p = &q->pending[i];
    cJSON *c = cJSON_CreateObject();
    cJSON_AddStringToObject(c, "execute", name);
    if (params)
        cJSON_AddItemToObject(c, "arguments", params);
    cJSON_AddNumberToObject(c, "id", (double)(q->last_id + 1));
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(c);
    cJSON_Delete(c);
    if (p)
        *p = (struct pending){ ++q->last_id, done, arg };
    if (!p || !text)
        fail_soon(q);
    else if (!q->down)
        send_text(q, text, fd);
}

/* Gives the reply with 'id' to its caller; false: the qmp was freed. */
static bool answer(struct qmp *q, uint64_t id, const cJSON *result,
                   const struct sc_err *err)
{
    bool freed = false;
    for (size_t i = 0; i < QMP_PENDING_MAX; i++) {
        struct pending p = q->pending[i];
        if (p.id == 0 || p.id != id)
            continue;
        q->pending[i].id = 0;
        q->freed = &freed;
        if (p.done)
            p.done(p.arg, result, err);
        if (!freed)
            q->freed = NULL;
        return !freed;
    }
    return true;
}

static void fail_pending(void *arg)
{
    struct qmp *q = arg;
    struct sc_err e = { 0 };
    sc_source_free(SC_TAKE(q->fail_timer));
    q->down = true;
    sc_fail(&e, -ECONNRESET, "QEMU closed its control connection");
    for (size_t i = 0; i < QMP_PENDING_MAX; i++)
        if (q->pending[i].id && !answer(q, q->pending[i].id, NULL, &e))
            return;
    q->events->down(q->arg);
}

static void greeted(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct qmp *q = arg;
    if (result)
        q->events->up(q->arg);
    else if (err->code != -ECONNRESET)
        fail_soon(q);
}

static bool take_line(struct qmp *q, const char *line)
{
    SC_AUTO(cjson_free) cJSON *j = cJSON_Parse(line);
    const cJSON *event = cJSON_GetObjectItemCaseSensitive(j, "event");
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(j, "id");
    const cJSON *ret = cJSON_GetObjectItemCaseSensitive(j, "return");
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(j, "error");
    if (!q->greeted) {
        q->greeted = cJSON_GetObjectItemCaseSensitive(j, "QMP") != NULL;
        if (q->greeted)
            qmp_command(q, "qmp_capabilities", NULL, -1, greeted, q);
        else
            fail_soon(q);
        return true;
    }
    if (cJSON_IsString(event)) {
        bool freed = false;
        q->freed = &freed;
        q->events->event(q->arg, event->valuestring,
                         cJSON_GetObjectItemCaseSensitive(j, "data"));
        if (!freed)
            q->freed = NULL;
        return !freed;
    }
    struct sc_err e = { 0 };
    if (!cJSON_IsNumber(id))
        return true;
    if (!ret) {
        const cJSON *desc = cJSON_GetObjectItemCaseSensitive(error, "desc");
        sc_fail(&e, -EIO, "QEMU: %s",
                cJSON_IsString(desc) ? desc->valuestring : "no reason given");
    }
    return answer(q, (uint64_t)id->valuedouble, ret, &e);
}

static void qmp_input(void *arg, int fd, uint32_t events)
{
    struct qmp *q = arg;
    (void)events;
    if (q->size - q->len < 4096) {
        size_t size = q->size ? q->size * 2 : 8192;
        char *line = size <= QMP_LINE_MAX ? realloc(q->line, size) : NULL;
        if (!line) {
            fail_soon(q);
            return;
        }
        q->line = line;
        q->size = size;
    }
    ssize_t n = read(fd, q->line + q->len, q->size - q->len - 1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        fail_soon(q);
        return;
    }
    size_t from = 0;
    q->len += (size_t)n;
    for (size_t i = q->len - (size_t)n; i < q->len; i++) {
        if (q->line[i] != '\n')
            continue;
        q->line[i] = 0;
        if (!take_line(q, q->line + from) || q->down)
            return;
        from = i + 1;
    }
    memmove(q->line, q->line + from, q->len - from);
    q->len -= from;
}

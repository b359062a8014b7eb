/* rpc_sync - see rpc_sync.h. */
#include "common/rpc_sync.h"

#include "common/json.h"
#include "common/loop.h"
#include "common/rpc.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

static int wait_for(int fd, short events, uint64_t deadline)
{
    uint64_t now = sc_mono_ms();
    struct pollfd p = { .fd = fd, .events = events };
    int n = now >= deadline ? 0 : poll(&p, 1, (int)(deadline - now));
    return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}

static int send_all(int fd, const char *text, size_t size, uint64_t deadline)
{
    while (size) {
        ssize_t n = send(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN)
            return -errno;
        if (n < 0) {
            int r = wait_for(fd, POLLOUT, deadline);
            if (r < 0)
                return r;
            continue;
        }
        text += n;
        size -= (size_t)n;
    }
    return 0;
}

/* Reads up to and without the newline; '*ret' is malloc'd. */
static int receive_line(int fd, uint64_t deadline, char **ret)
{
    size_t size = 0, cap = 65536;
    SC_AUTO(free) char *buf = malloc(cap);
    while (buf) {
        int r = wait_for(fd, POLLIN, deadline);
        if (r < 0)
            return r;
        ssize_t n = recv(fd, buf + size, cap - size - 1, MSG_DONTWAIT);
        if (n <= 0)
            return n == 0 ? -ECONNRESET : -errno;
        size += (size_t)n;
        buf[size] = 0;
        char *end = memchr(buf, '\n', size);
        if (end) {
            *end = 0;
            *ret = SC_TAKE(buf);
            return 0;
        }
        if (size + 1 == cap) {
            if (cap > RPC_MESSAGE_MAX)
                return -EMSGSIZE;
            char *bigger = realloc(buf, cap *= 2);
            if (!bigger)
                return -ENOMEM;
            buf = bigger;
        }
    }
    return -ENOMEM;
}

static int take_answer(const char *line, const char *method, cJSON **ret,
                       struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *answer = cJSON_Parse(line);
    cJSON *result = cJSON_DetachItemFromObject(answer, "result");
    if (result) {
        *ret = result;
        return 0;
    }
    const cJSON *e = cJSON_GetObjectItem(answer, "error");
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(e, "message"));
    const char *name = cJSON_GetStringValue(
        cJSON_GetObjectItem(cJSON_GetObjectItem(e, "data"), "errno"));
    if (!text)
        return sc_fail(err, -EPROTO, "%s: the answer is not JSON-RPC", method);
    return sc_fail(err, name ? sc_err_code(name) : -EIO, "%s", text);
}

int rpc_unix_call(const char *path, const char *method, cJSON *params,
                  uint64_t timeout_ms, cJSON **ret, struct sc_err *err)
{
    uint64_t deadline = sc_mono_ms() + timeout_ms;
    SC_AUTO(cjson_free) cJSON *request = cJSON_CreateObject();
    cJSON_AddStringToObject(request, "jsonrpc", "2.0");
    cJSON_AddNumberToObject(request, "id", 1);
    cJSON_AddStringToObject(request, "method", method);
    cJSON_AddItemToObject(request, "params", params);
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(request);
    SC_AUTO(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    if (!text || fd < 0)
        return sc_fail(err, -ENOMEM, "%s: out of memory or fds", method);
    if (strlen(path) >= sizeof a.sun_path)
        return sc_fail(err, -ENAMETOOLONG, "%s: path too long", path);
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (connect(fd, (void *)&a, sizeof a) < 0)
        return sc_fail(err, -errno, "%s: %s; is the daemon running?", path,
                       strerror(errno));
    size_t size = strlen(text);
    text[size] = '\n'; /* The NUL's place: sent by length. */
    SC_AUTO(free) char *line = NULL;
    int r = send_all(fd, text, size + 1, deadline);
    if (r == 0)
        r = receive_line(fd, deadline, &line);
    if (r < 0)
        return sc_fail(err, r, "%s: %s: %s", path, method, strerror(-r));
    return take_answer(line, method, ret, err);
}

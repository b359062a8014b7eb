/* terminal - see terminal.h.  One poll loop over keyboard and connection. */
#include "cli/terminal.h"

#include "cli/remote.h"
#include "common/http_head.h"
#include "common/https_client.h"
#include "common/json.h"
#include "common/tls.h"

#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <wslay/wslay.h>

enum { LEAVE = 0x1d, SILENCE_MS = 1000, UPGRADE_MS = 20000 };

struct terminal {
    struct https_client *c;
    wslay_event_context_ptr ws;
    int out;
    char early[HTTP_HEAD_MAX]; /* What came behind the response's head. */
    size_t n_early, early_at;
    bool over;
    char *why;
    size_t why_size;
};

static int wait_for(struct https_client *c, short events, int timeout_ms)
{
    struct pollfd p = { https_client_fd(c), events, 0 };
    int r = poll(&p, 1, timeout_ms);
    return r > 0 ? 0 : r == 0 ? -ETIMEDOUT : -errno;
}

static int send_all(struct https_client *c, const char *text, size_t size,
                    struct sc_err *err)
{
    while (size > 0) {
        ssize_t n = https_client_send(c, text, size);
        if (n == -EAGAIN && wait_for(c, POLLOUT, UPGRADE_MS) == 0)
            continue;
        if (n < 0)
            return sc_fail(err, -ECONNRESET, "console: connection lost");
        text += n;
        size -= (size_t)n;
    }
    return 0;
}

/* The key the client sends, and the answer the server must give to it. */
static int make_key(char key[32], char accept[64])
{
    unsigned char nonce[16], sha[EVP_MAX_MD_SIZE];
    unsigned len;
    char both[96];
    if (tls_random(nonce, sizeof nonce) < 0)
        return -EIO;
    EVP_EncodeBlock((unsigned char *)key, nonce, sizeof nonce);
    snprintf(both, sizeof both, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    if (EVP_Digest(both, strlen(both), sha, &len, EVP_sha1(), NULL) != 1)
        return -EIO;
    EVP_EncodeBlock((unsigned char *)accept, sha, (int)len);
    return 0;
}

static int send_upgrade(struct terminal *t, const char *url, const char *token,
                        const char *path, const char *key, struct sc_err *err)
{
    const char *host = strstr(url, "://") + 3;
    SC_AUTO(free) char *text = NULL;
    int n =
        asprintf(&text,
                 "GET %s HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: %s\r\nAuthorization: Bearer %s\r\n\r\n",
                 path, (int)strcspn(host, "/"), host, key, token ? token : "");
    if (n < 0) {
        text = NULL;
        return sc_fail(err, -ENOMEM, "out of memory");
    }
    return send_all(t->c, text, (size_t)n, err);
}

/* Reads on until 't->early' holds a whole head of 'ret' bytes. */
static int read_head(struct terminal *t, struct http_head *head, size_t *ret,
                     struct sc_err *err)
{
    for (;;) {
        long n = http_head_parse(t->early, t->n_early, head);
        if (n > 0) {
            *ret = (size_t)n;
            return 0;
        }
        if (n < 0 || t->n_early == sizeof t->early)
            return sc_fail(err, -EPROTO, "console: the answer is not HTTP");
        ssize_t got = https_client_recv(t->c, t->early + t->n_early,
                                        sizeof t->early - t->n_early);
        if (got == -EAGAIN && wait_for(t->c, POLLIN, UPGRADE_MS) == 0)
            continue;
        if (got <= 0)
            return sc_fail(err, -ECONNRESET, "console: connection lost");
        t->n_early += (size_t)got;
    }
}

/* The server said no: its JSON says why. */
static int refused(struct terminal *t, const struct http_head *head,
                   size_t head_size, struct sc_err *err)
{
    const char *length = http_head_get(head, "Content-Length");
    size_t want = length ? strtoul(length, NULL, 10) : 0;
    long status = strtol(head->second, NULL, 10);
    while (t->n_early - head_size < want && t->n_early < sizeof t->early) {
        ssize_t got = https_client_recv(t->c, t->early + t->n_early,
                                        sizeof t->early - t->n_early);
        if (got == -EAGAIN && wait_for(t->c, POLLIN, UPGRADE_MS) == 0)
            continue;
        if (got <= 0)
            break;
        t->n_early += (size_t)got;
    }
    struct https_client_answer a = { status, t->early + head_size,
                                     t->n_early - head_size };
    cJSON *none = NULL;
    int r = remote_decode(&a, &none, err);
    cJSON_Delete(none);
    return r < 0 ? r : sc_fail(err, -EPROTO, "console: no upgrade");
}

static int upgrade(struct terminal *t, const char *url, const char *token,
                   const char *path, struct sc_err *err)
{
    char key[32], accept[64];
    struct http_head head = { 0 };
    size_t head_size = 0;
    if (make_key(key, accept) < 0)
        return sc_fail(err, -EIO, "console: no randomness");
    int r = https_client_connect(t->c, err);
    if (r == 0)
        r = send_upgrade(t, url, token, path, key, err);
    if (r == 0)
        r = read_head(t, &head, &head_size, err);
    if (r < 0 || !head.second)
        return r;
    if (strcmp(head.second, "101") != 0)
        return refused(t, &head, head_size, err);
    const char *got = http_head_get(&head, "Sec-WebSocket-Accept");
    if (!got || strcmp(got, accept) != 0)
        return sc_fail(err, -EPROTO, "console: not a WebSocket server");
    t->early_at = head_size;
    return 0;
}

/* --- wslay's callbacks -----------------------------------------------------
 */

static ssize_t on_recv(wslay_event_context_ptr ws, uint8_t *buf, size_t size,
                       int flags, void *arg)
{
    (void)flags;
    struct terminal *t = arg;
    if (t->early_at < t->n_early) {
        size_t n = t->n_early - t->early_at;
        n = n < size ? n : size;
        memcpy(buf, t->early + t->early_at, n);
        t->early_at += n;
        return (ssize_t)n;
    }
    ssize_t n = https_client_recv(t->c, buf, size);
    if (n > 0)
        return n;
    if (n != -EAGAIN)
        t->over = true;
    wslay_event_set_error(ws, n == -EAGAIN ? WSLAY_ERR_WOULDBLOCK
                                           : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr ws, const uint8_t *data,
                       size_t size, int flags, void *arg)
{
    (void)flags;
    struct terminal *t = arg;
    ssize_t n = https_client_send(t->c, data, size);
    if (n > 0)
        return n;
    wslay_event_set_error(ws, n == -EAGAIN ? WSLAY_ERR_WOULDBLOCK
                                           : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static int on_mask(wslay_event_context_ptr ws, uint8_t *buf, size_t size,
                   void *arg)
{
    (void)ws;
    (void)arg;
    return tls_random(buf, size) < 0 ? -1 : 0;
}

static void on_message(wslay_event_context_ptr ws,
                       const struct wslay_event_on_msg_recv_arg *m, void *arg)
{
    (void)ws;
    struct terminal *t = arg;
    if (m->opcode == WSLAY_CONNECTION_CLOSE) {
        t->over = true;
        if (m->msg_length > 2)
            snprintf(t->why, t->why_size, "%.*s", (int)m->msg_length - 2,
                     (const char *)m->msg + 2);
        return;
    }
    const uint8_t *p = m->msg;
    for (size_t left = m->msg_length; left > 0;) {
        ssize_t n = write(t->out, p, left);
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            t->over = true;
            return;
        }
        if (n > 0) {
            p += n;
            left -= (size_t)n;
        }
    }
}

/* --- the loop
 * ----------------------------------------------------------------- */

/* 'n' bytes were typed; false: the person wants to leave. */
static bool typed(struct terminal *t, const char *buf, size_t n, bool is_tty)
{
    const char *leave = is_tty ? memchr(buf, LEAVE, n) : NULL;
    size_t len = leave ? (size_t)(leave - buf) : n;
    struct wslay_event_msg m = { WSLAY_BINARY_FRAME, (const uint8_t *)buf,
                                 len };
    if (len > 0 && wslay_event_queue_msg(t->ws, &m) != 0)
        return false;
    return !leave;
}

static int copy_both(struct terminal *t, int in, struct sc_err *err)
{
    bool is_tty = isatty(in) == 1, in_open = true;
    while (!t->over) {
        struct pollfd p[2] = {
            { https_client_fd(t->c), POLLIN, 0 },
            { in_open ? in : -1, POLLIN, 0 },
        };
        if (wslay_event_want_write(t->ws))
            p[0].events |= POLLOUT;
        /* OpenSSL may hold bytes that the socket no longer shows. */
        bool more = t->early_at < t->n_early;
        int r = poll(p, 2, more ? 0 : in_open ? -1 : SILENCE_MS);
        if (r < 0 && errno != EINTR)
            return sc_fail(err, -errno, "poll: %s", strerror(errno));
        if (r == 0 && !more && !in_open)
            return 0;
        if (p[1].revents) {
            char buf[4096];
            ssize_t n = read(in, buf, sizeof buf);
            if (n <= 0)
                in_open = false;
            else if (!typed(t, buf, (size_t)n, is_tty))
                return 0;
        }
        if ((more || p[0].revents & (POLLIN | POLLHUP | POLLERR)) &&
            wslay_event_recv(t->ws) != 0)
            break;
        if (wslay_event_want_write(t->ws) && wslay_event_send(t->ws) != 0)
            break;
    }
    if (!t->why[0])
        snprintf(t->why, t->why_size, "the connection was closed");
    return 0;
}

int terminal_run(struct https_client *c, const char *url, const char *token,
                 const char *path, int in, int out, char *ret_why,
                 size_t why_size, struct sc_err *err)
{
    SC_AUTO(free) struct terminal *t = calloc(1, sizeof *t);
    if (!t)
        return sc_fail(err, -ENOMEM, "out of memory");
    t->c = c;
    t->out = out;
    t->why = ret_why;
    t->why_size = why_size;
    ret_why[0] = '\0';
    int r = upgrade(t, url, token, path, err);
    if (r < 0)
        return r;
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .genmask_callback = on_mask,
        .on_msg_recv_callback = on_message,
    };
    if (wslay_event_context_client_init(&t->ws, &callbacks, t) != 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    struct termios old;
    bool raw = isatty(in) == 1 && tcgetattr(in, &old) == 0;
    if (raw) {
        struct termios now = old;
        cfmakeraw(&now);
        tcsetattr(in, TCSAFLUSH, &now);
    }
    r = copy_both(t, in, err);
    if (raw)
        tcsetattr(in, TCSAFLUSH, &old);
    wslay_event_context_free(t->ws);
    return r;
}

/* console - serial consoles: the newest output of each VM is kept, and
 * sessions of the controller see it live and type into it. */
#include "common/log.h"
#include "node/node.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    SESSIONS_MAX = 64,
    TYPED_MAX = 64 << 10, /* Bytes typed and not taken by the guest. */
    CHUNK = 16 << 10,
};

struct console_session {
    struct console_session *next;
    char id[128];
    char vm_id[SC_UUID_LEN + 1];
};

static void send_out(struct node *n, const char *session, const void *data,
                     size_t size)
{
    SC_AUTO(free) char *text = json_b64_encode(data, size);
    cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "session", session);
    cJSON_AddStringToObject(p, "data", text ? text : "");
    node_notify(n, "vm.console_out", p);
}

static void flush_typed(struct vm *vm)
{
    while (vm->console_out_size) {
        ssize_t n =
            write(vm->console_fd, vm->console_out, vm->console_out_size);
        if (n <= 0)
            break;
        vm->console_out_size -= (size_t)n;
        memmove(vm->console_out, vm->console_out + n, vm->console_out_size);
    }
    sc_source_set_events(vm->console_source,
                         EPOLLIN | (vm->console_out_size ? EPOLLOUT : 0));
}

static void on_fd(void *arg, int fd, uint32_t events)
{
    struct vm *vm = arg;
    char buf[CHUNK];
    if (events & EPOLLOUT)
        flush_typed(vm);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    ssize_t n = read(fd, buf, sizeof buf);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        console_detach(vm);
        return;
    }
    ring_put(vm->ring, buf, (size_t)n);
    for (struct console_session *s = vm->node->sessions; s; s = s->next)
        if (!strcmp(s->vm_id, vm->spec.id))
            send_out(vm->node, s->id, buf, (size_t)n);
}

void console_attach(void *node, const char *vm_id, int fd)
{
    struct vm *vm = vm_find(node, vm_id);
    if (!vm) { /* An adopted guest; recover.c makes its VM first if ours. */
        close(fd);
        return;
    }
    console_detach(vm);
    if (!vm->ring)
        vm->ring = calloc(1, sizeof *vm->ring);
    vm->console_fd = fd;
    if (!vm->ring || sc_loop_add_fd(vm->node->loop, fd, EPOLLIN, on_fd, vm,
                                    &vm->console_source) < 0)
        console_detach(vm);
}

void console_detach(struct vm *vm)
{
    sc_source_free(SC_TAKE(vm->console_source));
    close_p(&vm->console_fd);
    vm->console_fd = -1;
    vm->console_out_size = 0;
}

static struct console_session *find(struct node *n, const char *session)
{
    for (struct console_session *s = n->sessions; s; s = s->next)
        if (!strcmp(s->id, session))
            return s;
    return NULL;
}

int console_open(struct vm *vm, const char *session, struct sc_err *err)
{
    size_t len = 0;
    struct console_session *s = find(vm->node, session);
    for (struct console_session *p = vm->node->sessions; p; p = p->next)
        len++;
    if (s)
        return strcmp(s->vm_id, vm->spec.id)
                   ? sc_fail(err, -EEXIST, "console session %s is another VM's",
                             session)
                   : 0;
    if (len >= SESSIONS_MAX)
        return sc_fail(err, -EAGAIN, "too many console sessions (%d)",
                       SESSIONS_MAX);
    s = calloc(1, sizeof *s);
    if (!s)
        return sc_fail(err, -ENOMEM, "console: out of memory");
    snprintf(s->id, sizeof s->id, "%s", session);
    snprintf(s->vm_id, sizeof s->vm_id, "%s", vm->spec.id);
    s->next = vm->node->sessions;
    vm->node->sessions = s;
    return 0;
}

void console_close(struct node *n, const char *session)
{
    for (struct console_session **p = &n->sessions; *p; p = &(*p)->next)
        if (!strcmp((*p)->id, session)) {
            struct console_session *s = *p;
            *p = s->next;
            free(s);
            return;
        }
}

void console_sessions_free(struct node *n, const char *vm_id)
{
    for (struct console_session **p = &n->sessions; *p;) {
        struct console_session *s = *p;
        if (vm_id && strcmp(s->vm_id, vm_id) != 0) {
            p = &s->next;
            continue;
        }
        *p = s->next;
        free(s);
    }
}

void console_in(struct node *n, const char *session, const void *data,
                size_t size)
{
    struct console_session *s = find(n, session);
    struct vm *vm = s ? vm_find(n, s->vm_id) : NULL;
    if (!vm || vm->console_fd < 0)
        return;
    if (!vm->console_out)
        vm->console_out = malloc(TYPED_MAX);
    if (!vm->console_out || size > TYPED_MAX - vm->console_out_size)
        return; /* A guest that reads nothing: the keys are lost. */
    memcpy(vm->console_out + vm->console_out_size, data, size);
    vm->console_out_size += size;
    flush_typed(vm);
}

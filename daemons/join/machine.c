/* machine - see machine.h. */
#include "join/machine.h"
#include "common/json.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

static bool in_path(const char *program)
{
    const char *path = getenv("PATH");
    SC_AUTO(free) char *copy = strdup(path ? path : "/usr/bin:/bin");
    for (char *dir, *rest = copy; copy && (dir = strsep(&rest, ":"));) {
        SC_AUTO(free) char *file = NULL;
        if (asprintf(&file, "%s/%s", dir, program) < 0) {
            file = NULL;
            return false;
        }
        if (access(file, X_OK) == 0)
            return true;
    }
    return false;
}

const char *machine_hypervisor(const char *capabilities)
{
    char text[256] = "";
    SC_AUTO(fclose) FILE *f = fopen(capabilities, "re");
    if (f && fgets(text, sizeof text, f) && strstr(text, "control_d"))
        return "xen";
    return in_path("qemu-system-x86_64") ? "qemu" : NULL;
}

int machine_address(const char *host, uint16_t port, char ret[INET6_ADDRSTRLEN])
{
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = { .ai_socktype = SOCK_DGRAM,
                              .ai_flags = AI_NUMERICSERV };
    struct addrinfo *list = NULL;
    /* 192.0.2.1 is nobody (RFC 5737): any default route will do. */
    if (getaddrinfo(host ? host : "192.0.2.1", service, &hints, &list) != 0)
        return -EHOSTUNREACH;
    int r = -EHOSTUNREACH;
    for (struct addrinfo *ai = list; ai && r < 0; ai = ai->ai_next) {
        SC_AUTO(close)
        int fd = socket(ai->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct sockaddr_storage sa;
        socklen_t size = sizeof sa;
        /* A datagram socket's connect(2) only looks up the route. */
        if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 &&
            getsockname(fd, (struct sockaddr *)&sa, &size) == 0 &&
            getnameinfo((struct sockaddr *)&sa, size, ret, INET6_ADDRSTRLEN,
                        NULL, 0, NI_NUMERICHOST) == 0 &&
            !strchr(ret, '%'))
            r = 0;
    }
    freeaddrinfo(list);
    return r;
}

void machine_name_from(const char *host_name, char ret[64])
{
    size_t len = strcspn(host_name, ".");
    snprintf(ret, 64, "%.*s", (int)(len > 63 ? 63 : len), host_name);
    if (!sc_name_ok(ret))
        snprintf(ret, 64, "node");
}

void machine_name(char ret[64])
{
    char text[256] = "";
    if (gethostname(text, sizeof text - 1) < 0)
        text[0] = '\0';
    machine_name_from(text, ret);
}

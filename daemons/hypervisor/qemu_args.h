/* qemu_args - the command line of a guest's QEMU, from its spec.  Pure.
 *
 * Both ends of a migration must come to the same devices in the same order,
 * so nothing here depends on the machine but 'kvm', 'plain_checksums' (the
 * same on all nodes of a Supercloud) and numbers of fds. */
#ifndef SC_QEMU_ARGS_H
#define SC_QEMU_ARGS_H

#include "hypervisor/hypervisor.h"

#include <stdbool.h>

struct qemu_args {
    const struct hv_spec *spec;
    bool kvm;
    bool incoming; /* Wait for migrate-incoming. */
    bool plain_checksums;
    int qmp_fd, console_fd;   /* Listening Unix sockets. */
    int tap_fds[HV_NICS_MAX]; /* spec->n_nics of them. */
    const char *binary;       /* "qemu-system-x86_64". */
};
enum { QEMU_RECONNECT_S = 86400 }; /* A guest waits a day for its disk. */

/* NULL-ended argv; 0 or -ENOMEM. */
int qemu_args_make(const struct qemu_args *a, char ***ret) SC_MUST_CHECK;
void qemu_args_free(char **argv); /* NULL is allowed. */
static inline void qemu_args_free_p(char ***argv)
{
    qemu_args_free(*argv);
}

#endif

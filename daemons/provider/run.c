/* run - see run.h. */
#include "provider/run.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

enum { OUTPUT_KEPT = 300 };

/* Reads 'fd' to its end and keeps the last OUTPUT_KEPT bytes on one line. */
static void last_output(int fd, char ret[OUTPUT_KEPT + 1])
{
    char buf[4096];
    size_t len = 0;
    for (ssize_t n; (n = read(fd, buf, sizeof buf)) > 0;) {
        for (ssize_t i = 0; i < n; i++) {
            if (len == OUTPUT_KEPT)
                memmove(ret, ret + 1, --len);
            ret[len++] = buf[i] == '\n' ? ' ' : buf[i];
        }
    }
    while (len && ret[len - 1] == ' ')
        len--;
    ret[len] = 0;
}

static const char *package_of(const char *program)
{
    static const struct {
        const char *program, *package;
    } known[] = { { "qemu-system-x86_64", "qemu-system-x86" },
                  { "qemu-img", "qemu-utils" },
                  { "mkfs.vfat", "dosfstools" },
                  { "mcopy", "mtools" } };
    for (size_t i = 0; i < SC_ARRAY_LEN(known); i++)
        if (!strcmp(known[i].program, program))
            return known[i].package;
    return "it";
}

int run_program(const char *folder, const char *const argv[],
                struct sc_err *err)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return sc_fail(err, -errno, "pipe: %s", strerror(errno));
    SC_AUTO(close) int in = pipes[0];
    SC_AUTO(close) int out = pipes[1];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, out, 2);
    posix_spawn_file_actions_addchdir_np(&actions, folder);
    /* The program does not inherit which signals wait here (worker.h). */
    posix_spawnattr_t attributes;
    sigset_t none, usual;
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    pid_t pid;
    int r = posix_spawnp(&pid, argv[0], &actions, &attributes, (char **)argv,
                         environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (r)
        return sc_fail(err, -r, "%s: %s; install %s", argv[0], strerror(r),
                       package_of(argv[0]));
    close(SC_TAKE_FD(out));
    char output[OUTPUT_KEPT + 1];
    last_output(in, output);
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return sc_fail(err, -EIO, "%s failed (%s %d): %s", argv[0],
                   WIFEXITED(status) ? "exit status" : "signal",
                   WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
                   output);
}

int run_read_file_size(const char *path, char **ret, size_t *ret_size)
{
    SC_AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t size = 0, cap = 4096;
    SC_AUTO(free) char *buf = malloc(cap);
    for (ssize_t n; buf; size += (size_t)n) {
        if (size + 1 == cap) {
            char *bigger = realloc(buf, cap *= 2);
            if (!bigger)
                return -ENOMEM;
            buf = bigger;
        }
        if ((n = read(fd, buf + size, cap - size - 1)) < 0)
            return -errno;
        if (n == 0) {
            buf[size] = 0;
            *ret = SC_TAKE(buf);
            *ret_size = size;
            return 0;
        }
    }
    return -ENOMEM;
}

int run_read_file(const char *path, char **ret)
{
    size_t size;
    return run_read_file_size(path, ret, &size);
}

static int remove_one(const char *path, const struct stat *st, int kind,
                      struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    remove(path);
    return 0;
}

void run_remove_folder(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

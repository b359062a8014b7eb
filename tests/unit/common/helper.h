/* helper - what several of these tests need: a folder of their own, a loop that
 * turns until something is true, and a small certificate authority. */
#ifndef SC_TESTS_UNIT_COMMON_HELPER_H
#define SC_TESTS_UNIT_COMMON_HELPER_H

#include "common/err.h"
#include "common/loop.h"
#include "common/tls.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>

struct temp_dir {
    char path[64];
};

static inline int temp_dir_unlink(const char *path, const struct stat *st,
                                  int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline struct temp_dir temp_dir_new(void)
{
    struct temp_dir d = { "/tmp/sc-unit.XXXXXX" };
    cr_assert(mkdtemp(d.path));
    return d;
}

static inline void temp_dir_p(struct temp_dir *d)
{
    nftw(d->path, temp_dir_unlink, 16, FTW_DEPTH | FTW_PHYS);
}
#define TEMP_DIR(name)                                                         \
    __attribute__((cleanup(temp_dir_p))) struct temp_dir name = temp_dir_new()

/* "<dir>/<name>" in one of eight turns of a static buffer. */
static inline const char *in(const struct temp_dir *d, const char *name)
{
    static char text[8][256];
    static unsigned i;
    char *s = text[i++ % 8];
    snprintf(s, sizeof text[0], "%s/%s", d->path, name);
    return s;
}

/* Turns the loop until 'cond' or for at most five seconds. */
#define LOOP_UNTIL(loop, cond)                                                 \
    do {                                                                       \
        uint64_t end_ = sc_mono_ms() + 5000;                                   \
        while (!(cond) && sc_mono_ms() < end_)                                 \
            sc_loop_run_once(loop, 20);                                        \
        cr_assert(cond, "not within 5 s: %s", #cond);                          \
    } while (0)

/* <name>.crt and <name>.key signed by ca.crt in 'd'; 'server_name' NULL: none.
 */
static inline void pki_issue(const struct temp_dir *d, const char *name,
                             const char *cn, const char *ou,
                             const char *server_name)
{
    char file[64];
    struct sc_err err;
    SC_AUTO(free) char *csr = NULL;
    SC_AUTO(free) char *pem = NULL;
    const char *names[] = { server_name, NULL };
    snprintf(file, sizeof file, "%s.key", name);
    cr_assert_eq(tls_request_create(in(d, file), cn, ou, &csr, &err), 0, "%s",
                 err.text);
    cr_assert_eq(tls_sign(in(d, "ca.crt"), in(d, "ca.key"), csr, cn, ou,
                          server_name ? names : NULL, 30, &pem, &err),
                 0, "%s", err.text);
    snprintf(file, sizeof file, "%s.crt", name);
    cr_assert_eq(tls_write_file(in(d, file), pem, 0644, &err), 0, "%s",
                 err.text);
}

#define NODE_A "11111111-1111-4111-8111-111111111111"
#define NODE_B "22222222-2222-4222-8222-222222222222"

/* CA; controller, a, b (nodes), net (network). */
static inline void pki_make(const struct temp_dir *d)
{
    struct sc_err err;
    cr_assert_eq(
        tls_ca_create(in(d, "ca.crt"), in(d, "ca.key"), "test CA", &err), 0,
        "%s", err.text);
    pki_issue(d, "controller", "supercloud-controller", "controller",
              "supercloud-controller");
    pki_issue(d, "a", NODE_A, "node", NULL);
    pki_issue(d, "b", NODE_B, "node", NULL);
    pki_issue(d, "net", "network", "network", NULL);
}

#endif

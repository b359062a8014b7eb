/* upload - a file's bytes to the controller, with a bar on a terminal. */
#include "cli/remote.h"
#include "cli/table.h"
#include "common/loop.h"

struct upload {
    struct cli *cli;
    uint64_t begun_at, drawn_at;
};

static void draw_upload(void *arg, uint64_t sent, uint64_t total)
{
    struct upload *u = arg;
    uint64_t now = sc_mono_ms();
    if (!u->cli->is_tty || (now - u->drawn_at < 100 && sent < total))
        return;
    u->drawn_at = now;
    char done[32], rate[32];
    double s = (double)(now - u->begun_at) / 1000;
    table_bytes((double)sent, done, sizeof done);
    table_bytes(s > 0 ? (double)sent / s : 0, rate, sizeof rate);
    int filled = total ? (int)(30 * sent / total) : 30;
    fprintf(u->cli->log, "\r\033[K[%.*s%.*s] %3d %%  %s  %s/s", filled,
            "##############################", 30 - filled,
            "..............................",
            total ? (int)(100 * sent / total) : 100, done, rate);
    fflush(u->cli->log);
}

int remote_upload(struct cli *cli, const char *path, int fd, uint64_t size,
                  cJSON **ret, struct sc_err *err)
{
    struct upload u = { .cli = cli, .begun_at = sc_mono_ms() };
    struct remote *remote = NULL;
    SC_AUTO(free) char *full = NULL;
    int r = remote_get(cli, &remote, err);
    if (r < 0 || !remote)
        return r;
    if (asprintf(&full, "/api/v1%s", path) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    struct https_client_request rq = { .method = "PUT",
                                       .path = full,
                                       .upload = true,
                                       .upload_fd = fd,
                                       .upload_size = size,
                                       .progress = draw_upload,
                                       .arg = &u };
    struct https_client_answer answer = { 0 };
    r = https_client_do(remote->http, &rq, &answer, err);
    if (r == 0)
        r = remote_decode(&answer, ret, err);
    free(answer.body);
    if (cli->is_tty)
        fputs("\r\033[K", cli->log);
    return r;
}

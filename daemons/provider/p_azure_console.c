/* p_azure_console - see p_azure.h: a machine's serial log.
 *
 * Azure writes it to a blob of its own ("boot diagnostics", which every machine
 * of ours is launched with) and gives a signed URL for it, which is its own
 * credential: it is used at once, never shown or kept, and no token goes with
 * it.  Of a blob that is longer than we keep only the end is read. */
#include "provider/p_azure.h"

static int blob(struct p_azure *p, const char *method, const char *url,
                const char *what, const char *range, struct rest_answer *ret,
                struct sc_err *err)
{
    const struct web_header headers[] = { { "x-ms-version", "2019-12-12" },
                                          { "x-ms-range", range } };
    return rest_do(&p->rest,
                   &(struct rest_request){ .method = method,
                                           .url = url,
                                           .what = what,
                                           .headers = headers,
                                           .n_headers = range ? 2 : 1,
                                           .plain = true },
                   ret, err);
}

/* The end of the blob at 'url'; what is not there yet is empty. */
static int read_log(struct p_azure *p, const char *url, const char *what,
                    char **ret, size_t *ret_size, struct sc_err *err)
{
    struct rest_answer head = { 0 }, log = { 0 };
    struct sc_err e = { 0 };
    char range[64];
    int r = blob(p, "HEAD", url, what, NULL, &head, &e);
    const char *text = web_answer_header(&head.raw, "content-length");
    unsigned long long size = r == 0 && text ? strtoull(text, NULL, 10) : 0;
    /* One byte more than is kept: it shows where a line begins. */
    unsigned long long max = PROVIDER_CONSOLE_MAX + 1;
    if (size > 0) {
        snprintf(range, sizeof range, "bytes=%llu-%llu",
                 size > max ? size - max : 0, size - 1);
        r = blob(p, "GET", url, what, range, &log, &e);
    }
    if (r == -ENOENT)
        r = 0;
    if (r == 0) {
        *ret_size = log.raw.size;
        *ret = log.raw.body ? SC_TAKE(log.raw.body) : calloc(1, 1);
        r = *ret ? 0 : sc_fail(&e, -ENOMEM, "azure: out of memory");
    }
    rest_answer_clear(&head);
    rest_answer_clear(&log);
    if (r < 0 && err)
        *err = e;
    return r;
}

int azure_console(struct provider *up, const char *region, const char *id,
                  char **ret, size_t *ret_size, struct sc_err *err)
{
    struct p_azure *p = (struct p_azure *)up;
    struct rest_answer a = { 0 };
    char what[AZURE_WHAT_MAX];
    (void)region;
    if (!azure_name_ok(id))
        return sc_fail(err, -EINVAL, "azure: id '%.64s': not a machine's name",
                       id);
    snprintf(what, sizeof what, "console of instance '%s'", id);
    int r = azure_call(p, "POST", AZURE_VM, id, "/retrieveBootDiagnosticsData",
                       "", NULL, &a, err);
    const char *url = rest_str(a.json, "serialConsoleLogBlobUri");
    if (r == 0 && !*url)
        r = sc_fail(err, -EPROTO,
                    "azure: %s: the answer has no serialConsoleLogBlobUri",
                    what);
    if (r == 0)
        r = read_log(p, url, what, ret, ret_size, err);
    rest_answer_clear(&a);
    return r;
}

/* status - which HTTP status an error of ours becomes; the table of
 * docs/protocols/api.md.  Declared in server.h.  Pure. */
#include "http/server.h"

static const struct {
    int code, status;
} statuses[] = {
    { EINVAL, 400 },   { EBADMSG, 400 },   { EPERM, 401 },
    { EACCES, 403 },   { ENOENT, 404 },    { EOPNOTSUPP, 405 },
    { EEXIST, 409 },   { EBUSY, 409 },     { ESTALE, 409 },
    { EALREADY, 409 }, { EFBIG, 413 },     { EMSGSIZE, 413 },
    { EAGAIN, 429 },   { ENOSYS, 501 },    { EHOSTUNREACH, 503 },
    { ENOTCONN, 503 }, { ESHUTDOWN, 503 }, { ETIMEDOUT, 504 },
    { ENOSPC, 507 },   { EDQUOT, 507 },
};

int http_status_of(int code)
{
    int e = code < 0 ? -code : code;
    for (size_t i = 0; i < SC_ARRAY_LEN(statuses); i++)
        if (statuses[i].code == e)
            return statuses[i].status;
    return 500;
}

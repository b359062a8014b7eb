/* sigv4 - signs web requests as Amazon's APIs want it (Signature Version 4).
 *
 * Used by p_ec2 through web.h's 'sign', with the time of each try.  Pure but
 * for memory.  All headers of the request are signed, and the host; the path is
 * taken as it is in the URL, so it must be encoded there already.
 * Source: "Signature Version 4 signing process", AWS General Reference. */
#ifndef SC_PROVIDER_SIGV4_H
#define SC_PROVIDER_SIGV4_H

#include "provider/web.h"

#include <time.h>

struct sigv4 {
    const char *access_key_id, *secret, *session_token; /* NULL: none. */
    const char *service, *region;
    bool body_unsigned; /* The body's hash is left out ("UNSIGNED-PAYLOAD"). */
};

/* Fills 'ret' with up to 4 headers (names are static, values the caller's to
 * free); how many, or -EINVAL (the URL), -ENOMEM. */
int sigv4_sign(const struct sigv4 *s, const struct web_request *q, time_t now,
               struct web_header *ret, size_t max,
               struct sc_err *err) SC_MUST_CHECK;

#endif

/* metadata - requests to the instance's metadata service, on the loop.
 *
 * Used by notices.c.  Plain HTTP/1.1, one connection a request, nothing
 * blocks.  It goes to link-local addresses alone (and the loopback, where
 * emulators are): what is asked may carry a token of the instance's, and what
 * comes back is believed, so it must not leave the machine's own link.
 * Units: ms, bytes.  Ownership: requests are copied; an answer is the
 * callback's only while it runs.
 * Source: RFC 9112 (sections 4 and 7). */
#ifndef SC_NODE_METADATA_H
#define SC_NODE_METADATA_H

#include "common/http_head.h"
#include "common/loop.h"

#include <netinet/in.h>
#include <stdint.h>

enum { METADATA_ANSWER_MAX = 64 << 10 };

struct metadata_answer {
    int status;
    struct http_head head;
    char *body; /* NUL-ended. */
    size_t size;
};
/* 'answer' is NULL exactly if err->code is not 0: -EHOSTUNREACH (and other
 * codes of connect and recv), -ETIMEDOUT, -EPROTO, -EMSGSIZE. */
typedef void metadata_done_fn(void *arg, const struct metadata_answer *answer,
                              const struct sc_err *err);

struct metadata_request {
    const char *method;  /* "GET", "PUT" */
    const char *path;    /* "/latest/api/token" */
    const char *headers; /* "Name: value\r\n" each; NULL: none. */
    uint64_t timeout_ms; /* Of the whole. */
};

struct metadata_call;
/* 'done' runs once, later, never from inside this call.  '*ret' is for
 * metadata_cancel until then.  0, or -errno: it will not run. */
int metadata_ask(struct sc_loop *loop, const struct sockaddr_in6 *to,
                 const struct metadata_request *q, metadata_done_fn *done,
                 void *arg, struct metadata_call **ret,
                 struct sc_err *err) SC_MUST_CHECK;
/* 'done' will not run.  NULL is allowed. */
void metadata_cancel(struct metadata_call *call);

/* --- pure parts ----------------------------------------------------------- */

/* "169.254.169.254:80", "[fe80::1]:80" -> an address, IPv4 mapped into IPv6.
 * -EINVAL: no such address; -EACCES: neither link-local nor loopback. */
int metadata_address(const char *text, struct sockaddr_in6 *ret,
                     struct sc_err *err) SC_MUST_CHECK;
/* Looks whether 'buf' (writable, one byte of room behind 'size') holds a whole
 * answer; 'eof': nothing more comes.  1 with 'ret' pointing into 'buf'; 0: not
 * yet; -EPROTO, -EMSGSIZE. */
int metadata_parse(char *buf, size_t size, bool eof,
                   struct metadata_answer *ret) SC_MUST_CHECK;

#endif

/* user_data - the text an instance is launched with, for each provider, role
 * and tool.
 *
 * Used by the controller (node.user_data, the launch job), by tests, and by
 * the examples in cloud-init/examples, which are this module's output.  Pure:
 * no clock, no file, no network; thread-safe.
 * Ownership: a request borrows all its strings; the rendered text is malloc'd
 * and the caller's.
 * Units: bytes, before any encoding (base64) the provider wants.
 * Source: cloud-init/schema-supercloud.json (what an instance understands),
 * docs/providers/ (limits and where to paste it). */
#ifndef SC_CONTROLLER_USER_DATA_H
#define SC_CONTROLLER_USER_DATA_H

#include "common/err.h"

#include <stddef.h>

enum user_data_role { USER_DATA_NODE, USER_DATA_CONTROLLER };
enum user_data_format {
    USER_DATA_CLOUD_CONFIG, /* As pasted in a provider's console. */
    USER_DATA_TERRAFORM,    /* Arguments for the provider's resource (HCL). */
};

/* Text members: NULL or "" is "not given". */
struct user_data_request {
    enum user_data_role role;
    enum user_data_format format;
    const char *driver;     /* "ec2": its limit, its notes; not given: as
                               'provider'.  An unknown one has neither. */
    const char *provider;   /* What the node is to say it is at. */
    const char *region;     /* As 'provider': a name (sc_name_ok). */
    const char *name;       /* Not given: the host name. */
    const char *controller; /* "HOST:PORT"; a node needs it. */
    const char *token;      /* "sct1...."; a node needs it. */
    const char *hypervisor; /* "xen", "qemu"; not given: found at boot. */
    const char *address;    /* Where other nodes reach it; not given: found. */
    /* A controller's alone: its public name, for which it gets a certificate,
     * from whom (not given: Let's Encrypt), and who is written to. */
    const char *console_name, *acme_email, *acme_directory;
};

/* 0; -EINVAL (the field is named: it is missing, malformed, not for this role,
 * or cannot be at this provider), -EFBIG (both sizes are in the text), -ENOMEM.
 * A secret is never in the text of an error. */
int user_data_render(const struct user_data_request *q, char **ret,
                     struct sc_err *err) SC_MUST_CHECK;
/* The size that counts against the limit: that of the cloud-config, whatever
 * 'format' is.  Same errors. */
int user_data_size(const struct user_data_request *q, size_t *ret,
                   struct sc_err *err) SC_MUST_CHECK;

/* The most a provider's driver takes; 0: no limit, or not known. */
size_t user_data_limit(const char *driver);
/* 0; -EINVAL names those there are.  "" and NULL are the first of each. */
int user_data_role_parse(const char *text, enum user_data_role *ret,
                         struct sc_err *err) SC_MUST_CHECK;
int user_data_format_parse(const char *text, enum user_data_format *ret,
                           struct sc_err *err) SC_MUST_CHECK;

/* 'text' as a YAML scalar: itself if it can only be read as a string, else in
 * double quotes.  malloc'd; NULL: out of memory, or not printable ASCII. */
char *user_data_yaml(const char *text) SC_MUST_CHECK;

#endif

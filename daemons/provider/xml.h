/* xml - a provider's XML answer as a tree to look things up in; over expat.
 *
 * Names are as written (no namespaces).  Document types are refused, and so are
 * trees deeper than XML_DEPTH or of more than XML_NODES elements.  Pure.
 * Ownership: nodes and their texts belong to the 'struct xml'. */
#ifndef SC_PROVIDER_XML_H
#define SC_PROVIDER_XML_H

#include "common/err.h"

#include <stddef.h>

enum { XML_DEPTH = 64, XML_NODES = 2000000 };

struct xml;
struct xml_node {
    const char *name;
    const char *text; /* All text directly in it; "" if none. */
    struct xml_node *child, *next;
};
/* -EPROTO: not well-formed, or refused; -ENOMEM. */
int xml_parse(const char *text, size_t size, struct xml **ret,
              struct sc_err *err) SC_MUST_CHECK;
void xml_free(struct xml *x); /* NULL is allowed. */
SC_CLEANUP(struct xml, xml_free)
const struct xml_node *xml_root(const struct xml *x);

/* The first node at 'path' ("a/b/c") below 'n', or NULL; 'n' may be NULL.  Its
 * text, or "". */
const struct xml_node *xml_get(const struct xml_node *n, const char *path);
const char *xml_text(const struct xml_node *n, const char *path);
/* The children of the node at 'path': for (i = xml_first(n, p); i; i =
 * i->next). */
const struct xml_node *xml_first(const struct xml_node *n, const char *path);

#endif

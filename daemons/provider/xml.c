/* xml - see xml.h.  All nodes hang in one list besides the tree, so that
 * freeing needs no recursion. */
#include "provider/xml.h"

#include <expat.h>
#include <limits.h>
#include <string.h>

struct node {
    struct xml_node up; /* Must be first; name and text are ours. */
    struct node *parent, *last_child;
    struct node *all; /* The node made before it. */
    size_t text_size;
};

struct xml {
    struct node *all, *root, *at;
    size_t depth, n_nodes;
    int code; /* What ended the parse; 0: nothing. */
    XML_Parser parser;
};

static void stop(struct xml *x, int code)
{
    x->code = code;
    XML_StopParser(x->parser, XML_FALSE);
}

static void XMLCALL on_start(void *arg, const XML_Char *name,
                             const XML_Char **attributes)
{
    (void)attributes;
    struct xml *x = arg;
    if (x->code)
        return;
    if (x->depth == XML_DEPTH || x->n_nodes == XML_NODES) {
        stop(x, -EPROTO);
        return;
    }
    struct node *n = calloc(1, sizeof *n);
    char *copy = strdup(name);
    if (!n || !copy) {
        free(n);
        free(copy);
        stop(x, -ENOMEM);
        return;
    }
    n->up.name = copy;
    n->up.text = "";
    n->parent = x->at;
    n->all = x->all;
    x->all = n;
    if (!x->at)
        x->root = n;
    else if (x->at->last_child)
        x->at->last_child->up.next = &n->up;
    else
        x->at->up.child = &n->up;
    if (x->at)
        x->at->last_child = n;
    x->at = n;
    x->depth++;
    x->n_nodes++;
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
    (void)name;
    struct xml *x = arg;
    if (x->code)
        return;
    x->at = x->at->parent;
    x->depth--;
}

static void XMLCALL on_text(void *arg, const XML_Char *text, int len)
{
    struct xml *x = arg;
    struct node *n = x->at;
    if (x->code || !n)
        return;
    char *old = n->text_size ? (char *)n->up.text : NULL;
    char *more = realloc(old, n->text_size + (size_t)len + 1);
    if (!more) {
        stop(x, -ENOMEM);
        return;
    }
    memcpy(more + n->text_size, text, (size_t)len);
    n->text_size += (size_t)len;
    more[n->text_size] = '\0';
    n->up.text = more;
}

static void XMLCALL on_doctype(void *arg, const XML_Char *name,
                               const XML_Char *system_id,
                               const XML_Char *public_id, int internal)
{
    (void)name, (void)system_id, (void)public_id, (void)internal;
    stop(arg, -EPROTO);
}

int xml_parse(const char *text, size_t size, struct xml **ret,
              struct sc_err *err)
{
    if (size > INT_MAX)
        return sc_fail(err, -EPROTO, "XML: too long");
    SC_AUTO(xml_free) struct xml *x = calloc(1, sizeof *x);
    if (!x || !(x->parser = XML_ParserCreate(NULL)))
        return sc_fail(err, -ENOMEM, "XML: out of memory");
    XML_SetUserData(x->parser, x);
    XML_SetElementHandler(x->parser, on_start, on_end);
    XML_SetCharacterDataHandler(x->parser, on_text);
    XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
    enum XML_Status s = XML_Parse(x->parser, text, (int)size, 1);
    enum XML_Error e = XML_GetErrorCode(x->parser);
    XML_ParserFree(x->parser);
    x->parser = NULL;
    if (x->code == -ENOMEM || (s != XML_STATUS_OK && e == XML_ERROR_NO_MEMORY))
        return sc_fail(err, -ENOMEM, "XML: out of memory");
    if (s != XML_STATUS_OK || !x->root)
        return sc_fail(err, -EPROTO, "an answer that is not XML we take: %s",
                       x->code ? "too deep, too long, or with a document type"
                               : XML_ErrorString(e));
    *ret = SC_TAKE(x);
    return 0;
}

void xml_free(struct xml *x)
{
    if (!x)
        return;
    for (struct node *n = x->all, *before; n; n = before) {
        before = n->all;
        free((char *)n->up.name);
        if (n->text_size)
            free((char *)n->up.text);
        free(n);
    }
    free(x);
}

const struct xml_node *xml_root(const struct xml *x)
{
    return &x->root->up;
}

const struct xml_node *xml_get(const struct xml_node *n, const char *path)
{
    while (n && *path) {
        size_t len = strcspn(path, "/");
        const struct xml_node *c = n->child;
        while (c && (strncmp(c->name, path, len) != 0 || c->name[len]))
            c = c->next;
        n = c;
        path += len;
        path += *path == '/';
    }
    return n;
}

const char *xml_text(const struct xml_node *n, const char *path)
{
    n = xml_get(n, path);
    return n ? n->text : "";
}

const struct xml_node *xml_first(const struct xml_node *n, const char *path)
{
    n = xml_get(n, path);
    return n ? n->child : NULL;
}

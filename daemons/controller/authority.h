/* authority - the data view of every volume: who may write it, and which node
 * holds the newest version of each block.
 *
 * Used by sc-controller's RPC (view.*) and by its jobs.  All state is in the
 * store; every function works inside the caller's transaction, so that a
 * change of a VM and of its volumes is one commit.
 *
 * A volume has a *writer* (epoch, nid) and, while it moves, the *next* writer.
 * Reading is for everybody.  A flush is accepted from the writer only; the
 * next becomes the writer when it hands over (or opens for writing), and from
 * then on all older epochs are fenced: -ESTALE.  Epochs only grow.
 *
 * Stored: table "volumes", key id -> JSON of struct volume; table "views", key
 * id + big-endian number of a chunk of AUTHORITY_CHUNK blocks -> the sequence
 * number of its last change (8 bytes, big-endian) + its runs (view_delta).  So
 * a flush of a few blocks writes a few chunks, whatever the volume's size.
 * Units: sizes and offsets in bytes where not "blocks".
 * Source: docs/protocols/rpc.md, the paper's section 3.2. */
#ifndef SC_CONTROLLER_AUTHORITY_H
#define SC_CONTROLLER_AUTHORITY_H

#include "common/store.h"
#include "model/objects.h"
#include "model/view_delta.h"

enum { AUTHORITY_CHUNK = 1024 }; /* blocks */
enum { AUTHORITY_PARENTS_MAX = 16 };

struct volume {
    char id[OBJ_ID];
    char parent[OBJ_ID]; /* "": none.  A sealed volume. */
    uint64_t size;
    uint32_t epoch; /* Of the writer; 0: none was allowed yet. */
    uint16_t nid;   /* Node of the writer. */
    uint32_t next_epoch;
    uint16_t next_nid;
    bool open;    /* The writer has it open. */
    bool sealed;  /* Read-only for ever. */
    uint64_t seq; /* Counts the changes of the view. */
};

/* Names of the two tables, for store_open. */
#define AUTHORITY_TABLES "volumes", "views"

/* 0; -EEXIST; -ENOENT, -EINVAL: 'parent' ("" for none) is not there, is not
 * sealed, is larger than 'size', or the chain is too long. */
int authority_create(struct store_txn *t, const char *id, uint64_t size,
                     const char *parent, struct sc_err *err) SC_MUST_CHECK;
/* Removes the volume and its view; absent is not an error. */
int authority_delete(struct store_txn *t, const char *id,
                     struct sc_err *err) SC_MUST_CHECK;
/* -ENOENT without filling 'err' further than the name. */
int authority_get(struct store_txn *t, const char *id, struct volume *ret,
                  struct sc_err *err) SC_MUST_CHECK;
int authority_seal(struct store_txn *t, const char *id,
                   struct sc_err *err) SC_MUST_CHECK;

/* Makes (epoch, nid) the writer at once; older epochs are fenced.  Again with
 * the same values: nothing happens.  -ESTALE: not larger than before; -EROFS:
 * sealed. */
int authority_allow(struct store_txn *t, const char *id, uint32_t epoch,
                    uint16_t nid, struct sc_err *err) SC_MUST_CHECK;
/* Names the next writer.  Repeatable.  -ESTALE, -EROFS as above. */
int authority_allow_next(struct store_txn *t, const char *id, uint32_t epoch,
                         uint16_t nid, struct sc_err *err) SC_MUST_CHECK;
/* Takes the next writer back (if it is 'epoch').  -EALREADY: it has become
 * the writer.  No next: nothing happens. */
int authority_cancel_next(struct store_txn *t, const char *id, uint32_t epoch,
                          struct sc_err *err) SC_MUST_CHECK;
/* The next becomes the writer.  Repeatable. */
int authority_commit_next(struct store_txn *t, const char *id, uint32_t epoch,
                          struct sc_err *err) SC_MUST_CHECK;

/* The changes since 'have_seq', from 'first_block' on, in one delta of at most
 * VIEW_MESSAGE_MAX bytes; '*ret_next_block' is where to go on, UINT64_MAX: it
 * is complete. */
int authority_read(struct store_txn *t, const struct volume *v,
                   uint64_t have_seq, uint64_t first_block,
                   struct view_delta **ret, uint64_t *ret_next_block,
                   struct sc_err *err) SC_MUST_CHECK;

/* What the daemons ask.  'nid' is who asks.  -ESTALE: fenced; -EACCES: the
 * epoch belongs to another node; -EROFS; -ENOENT; -EBADMSG: the delta is bad
 * (a version of an epoch to come). '*ret' is the volume afterwards. */
int authority_open(struct store_txn *t, const char *id, bool write,
                   uint32_t epoch, uint16_t nid, struct volume *ret,
                   struct sc_err *err) SC_MUST_CHECK;
int authority_flush(struct store_txn *t, const char *id, uint32_t epoch,
                    uint16_t nid, bool close, const char *delta_text,
                    struct volume *ret, struct sc_err *err) SC_MUST_CHECK;
int authority_handover(struct store_txn *t, const char *id, uint32_t epoch,
                       uint16_t nid, const char *delta_text, struct volume *ret,
                       struct sc_err *err) SC_MUST_CHECK;

#endif

/* remote - the controller's API, as the commands call it.  Blocks. */
#ifndef SC_CLI_REMOTE_H
#define SC_CLI_REMOTE_H

#include "cli/cli.h"
#include "cli/profile.h"
#include "common/https_client.h"

struct remote {
    struct profile profile;
    struct https_client *http;
};
/* The remote of 'cli', from the profile; kept in cli->remote.  -EPERM: not
 * logged in. */
int remote_get(struct cli *cli, struct remote **ret, struct sc_err *err);
void remote_free(struct remote *r);
SC_CLEANUP(struct remote, remote_free)

/* Calls METHOD /api/v1PATH with 'body' (taken, NULL: none).  0 and '*ret' (the
 * caller's), or the error the server names. */
int remote_call(struct cli *cli, const char *method, const char *path,
                cJSON *body, cJSON **ret, struct sc_err *err);
/* The same with a path from a format whose %s arguments are URL-escaped by
 * the caller through remote_escape. */
int remote_callf(struct cli *cli, const char *method, cJSON *body, cJSON **ret,
                 struct sc_err *err, const char *fmt, ...) SC_PRINTF(6, 7);
/* Percent-encodes a path segment; malloc'd. */
char *remote_escape(const char *text);
/* Turns an answer into 0 and JSON, or its error. */
int remote_decode(const struct https_client_answer *a, cJSON **ret,
                  struct sc_err *err);

/* PUT /api/v1PATH with the 'size' bytes of 'fd', drawing how far it is (on a
 * terminal).  As remote_call. */
int remote_upload(struct cli *cli, const char *path, int fd, uint64_t size,
                  cJSON **ret, struct sc_err *err);

/* --- output and jobs --------------------------------------------------------
 */
struct table_column;
/* Prints the "data" of 'answer' (taken), what a serial console has said: as it
 * is, or the whole answer as JSON. */
int print_log(struct cli *cli, cJSON *answer);
/* Prints list 'key' of 'answer' (taken) in the format asked for. */
int print_list(struct cli *cli, cJSON *answer, const char *key,
               const struct table_column *columns);
/* Prints one object (taken). */
int print_object(struct cli *cli, cJSON *object,
                 const struct table_column *columns);
/* "GET PATH/ID" and print_object. */
int show_object(struct cli *cli, const char *collection, const char *id,
                const struct table_column *columns);
/* After a 202: prints what was begun, or with 'wait' follows the job to its
 * end.  'answer' is taken; a cli_exit. */
int finish_job(struct cli *cli, cJSON *answer, bool wait,
               const struct table_column *vm_columns);
int watch_job(struct cli *cli, const char *job_id, cJSON **ret);

#endif

/* sc-join - makes this machine a member of a Supercloud; runs once, from
 * cloud-init.  docs/protocols/joining.md. */
#include "common/loop.h"
#include "join/join.h"

#include <signal.h>
#include <stdio.h>

static void request_fini_p(struct join_request *r)
{
    request_fini(r);
}

int main(int argc, char *argv[])
{
    signal(SIGPIPE, SIG_IGN);
    SC_AUTO(request_fini) struct join_request r = { 0 };
    struct join_failure f = { 0 };
    struct join_result done = { 0 };
    int n = request_load(&r, argc, argv, &f);
    if (n > 0)
        return 0;
    if (n == 0)
        n = r.init ? join_init_controller(&r, &done, &f)
                   : join_node(&r, &done, &f);
    if (n < 0) {
        char line[2 * SC_ERR_TEXT];
        join_failure_line(&f, line, sizeof line);
        fprintf(stderr, "%s\n", line);
        return join_exit_status(&f);
    }
    printf("supercloud: %s name=%s nid=%u\n",
           done.was_member ? "had joined before"
           : r.init        ? "controller is set up"
                           : "joined",
           done.name, done.nid);
    return 0;
}

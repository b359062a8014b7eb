/* fail - why a join failed: a code that people can look up, an exit status for
 * scripts, the reason, and what to do.
 *
 * The codes are documented in docs/protocols/joining.md. */
#ifndef SC_JOIN_FAIL_H
#define SC_JOIN_FAIL_H

#include "common/err.h"

/* code, name on the console, what to do.  Exit status: 10 + the number. */
#define JOIN_CODES(C)                                                          \
    C(1, USER_DATA, "correct the user-data and boot again")                    \
    C(2, UNREACHABLE,                                                          \
      "check the controller's address and that port 7443 is open from here")   \
    C(3, PIN,                                                                  \
      "this is not the controller that made the token, or somebody is "        \
      "in between: take fresh user-data from its dashboard (Nodes, Add node)") \
    C(4, CLOCK, "set this machine's clock (chronyd, or the provider's)")       \
    C(5, EXPIRED, "make new user-data (Nodes, Add node)")                      \
    C(6, USED, "make new user-data (Nodes, Add node)")                         \
    C(7, UNKNOWN,                                                              \
      "copy the user-data again, whole, or make new one (Nodes, Add node)")    \
    C(8, REFUSED, "correct the user-data and boot again")                      \
    C(9, ANSWER, "look at sc-controller's log: journalctl -u sc-controller")   \
    C(10, FILES, "check that the disk is writable and has room")               \
    C(11, IDENTITY,                                                            \
      "somebody may be in between: check the controller's address")            \
    C(12, MACHINE, "say it in the user-data, or install what is missing")

#define C(number, id, hint) JOIN_##id = (number),
enum join_code { JOIN_OK = 0, JOIN_CODES(C) };
#undef C

struct join_failure {
    enum join_code code;
    char text[SC_ERR_TEXT];
};

/* Fills 'f' and returns -1: return join_fail(f, JOIN_CLOCK, "..."). */
int join_fail(struct join_failure *f, enum join_code code, const char *fmt, ...)
    SC_PRINTF(3, 4);
/* The console's line, without newline:
 * "supercloud: join failed [SC-J05]: reason; do this". */
void join_failure_line(const struct join_failure *f, char *ret, size_t size);
int join_exit_status(const struct join_failure *f); /* 0, or 11..22. */

#endif

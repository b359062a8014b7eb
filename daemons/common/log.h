/* log - one line per event, key=value, on standard error (journald's input).
 *
 * Only daemons log above DEBUG; libraries return errors.  A line is
 * "<N>event=vm.start vm=... msg=\"...\"": N is syslog's level, which journald
 * takes off.  Values with spaces, quotes or control characters are quoted and
 * escaped, so a guest's text cannot forge a line.  Thread-safe. */
#ifndef SC_COMMON_LOG_H
#define SC_COMMON_LOG_H

#include "common/clean.h"

enum sc_log_level {
    SC_LOG_ERROR = 3,
    SC_LOG_WARN = 4,
    SC_LOG_INFO = 6,
    SC_LOG_DEBUG = 7
};

/* The process-wide level, the project's only global; default INFO. */
void sc_log_level_set(enum sc_log_level level);
enum sc_log_level sc_log_level_get(void);
/* 0, or -EINVAL: 'name' is not error|warn|info|debug. */
int sc_log_level_parse(const char *name, enum sc_log_level *ret);

/* 'event' is a dotted word; then pairs (const char *key, const char *value)
 * and a NULL.  sc_log(SC_LOG_INFO, "vm.start", "vm", id, "node", n, NULL) */
void sc_log(enum sc_log_level level, const char *event, ...)
    __attribute__((sentinel));
/* As sc_log, with one formatted value under the key 'msg'. */
void sc_logf(enum sc_log_level level, const char *event, const char *fmt, ...)
    SC_PRINTF(3, 4);

#endif

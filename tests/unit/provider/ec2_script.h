/* ec2_script - the EC2 driver against a script's answers (script.h). */
#ifndef SC_TESTS_UNIT_PROVIDER_EC2_SCRIPT_H
#define SC_TESTS_UNIT_PROVIDER_EC2_SCRIPT_H

#include "provider/p_ec2.h"

#include "script.h"

/* An answer with 'body'; the caller frees it. */
static inline char *answer(int status, const char *body)
{
    char *text = NULL;
    cr_assert(asprintf(&text,
                       "HTTP/1.1 %d x\r\nContent-Length: %zu\r\n"
                       "Connection: close\r\n\r\n%s",
                       status, strlen(body), body) > 0);
    return text;
}

static inline char *refusal(int status, const char *code, const char *words)
{
    char *body = NULL;
    cr_assert(asprintf(&body,
                       "<Response><Errors><Error><Code>%s</Code><Message>%s"
                       "</Message></Error></Errors><RequestID>req-1"
                       "</RequestID></Response>",
                       code, words) > 0);
    char *text = answer(status, body);
    free(body);
    return text;
}

/* The driver, whose EC2 is 's' (started here). */
static inline struct p_ec2 *ec2_at(struct script *s)
{
    char text[400];
    start(s);
    snprintf(text, sizeof text,
             "{\"access_key_id\": \"AKIAEXAMPLE\", \"secret_access_key\": "
             "\"secret\", \"regions\": \"r-1,r-2\", \"retry_ms\": 1, "
             "\"endpoint_ec2\": \"http://127.0.0.1:%u/{region}\"}",
             s->port);
    cJSON *config = cJSON_Parse(text);
    struct provider *p = NULL;
    struct sc_err err = { 0 };
    cr_assert_eq(provider_open("ec2", config, NULL, &p, &err), 0, "%s",
                 err.text);
    cJSON_Delete(config);
    return (struct p_ec2 *)p;
}

/* Ends both; the script's answers are freed. */
static inline void end(struct script *s, struct p_ec2 *p)
{
    provider_close(&p->up);
    stop(s);
    for (size_t i = 0; i < s->n_answers; i++)
        free((char *)s->answers[i]);
}

#endif

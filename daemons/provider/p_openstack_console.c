/* p_openstack_console - see p_openstack.h: a server's serial log.
 *
 * Nova's answer is what its hypervisor keeps (libvirt: the newest 100 KiB); a
 * length would be in lines, so none is given and provider.c cuts. */
#include "provider/p_openstack.h"

int os_console(struct provider *up, const char *region, const char *id,
               char **ret, size_t *ret_size, struct sc_err *err)
{
    struct openstack *o = (struct openstack *)up;
    SC_AUTO(free) char *path = NULL;
    SC_AUTO(free) char *escaped = web_escape(id, false);
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateObject();
    int r = os_region(o, region, &region, err);
    if (r < 0)
        return r;
    if (!escaped || asprintf(&path, "/servers/%s/action", escaped) < 0 ||
        !cJSON_AddObjectToObject(body, "os-getConsoleOutput"))
        return sc_fail(err, -ENOMEM, "out of memory");
    struct os_call c = { .region = region,
                         .service = "compute",
                         .method = "POST",
                         .path = path,
                         .body = body };
    struct os_answer a = { 0 };
    r = os_call(o, &c, &a, err);
    const cJSON *text = cJSON_GetObjectItem(a.json, "output");
    if (r == 0 && !cJSON_IsString(text))
        r = sc_fail(err, -EPROTO, "%s: compute: the answer has no output",
                    up->class->name);
    char *log = r == 0 ? strdup(text->valuestring) : NULL;
    if (log) {
        *ret = log;
        *ret_size = strlen(log);
    } else if (r == 0) {
        r = sc_fail(err, -ENOMEM, "out of memory");
    }
    os_answer_clear(&a);
    return r;
}

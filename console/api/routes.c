/* routes - see routes.h. */
#include "api/routes.h"

#include <string.h>

#define NONE API_ROLE_NONE
#define VIEWER API_ROLE_VIEWER
#define OPERATOR API_ROLE_OPERATOR
#define ADMIN API_ROLE_ADMIN

/* clang-format off */
const struct api_route api_routes[] = {
    { "POST",   "/login",             "login",            NONE,     API_PUBLIC | API_BODY, NULL, api_login, "Log in; gives a session, or an API token" },
    { "POST",   "/logout",            "logout",           VIEWER,   0,        NULL, api_logout, "End this session, or revoke this API token" },
    { "GET",    "/session",           "session.show",     VIEWER,   0,        NULL, api_session_show, "Who am I" },
    { "GET",    "/sessions",          "session.list",     VIEWER,   0,        NULL, api_session_list, "Sessions and API tokens: one's own, or all for an admin" },
    { "DELETE", "/sessions/{id}",     "session.delete",   VIEWER,   0,        NULL, api_session_delete, "Revoke a session or API token" },
    { "POST",   "/password",          "password.set",     VIEWER,   API_BODY, NULL, api_password_set, "Change one's own password" },
    { "GET",    "/users",             "user.list",        ADMIN,    0,        NULL, api_user_list, "List users" },
    { "POST",   "/users",             "user.create",      ADMIN,    API_BODY, NULL, api_user_create, "Create a user" },
    { "PUT",    "/users/{id}",        "user.update",      ADMIN,    API_BODY, NULL, api_user_update, "Change a user's role or password" },
    { "DELETE", "/users/{id}",        "user.delete",      ADMIN,    0,        NULL, api_user_delete, "Delete a user and its sessions" },
    { "GET",    "/openapi.json",      "openapi",          NONE,     API_PUBLIC, NULL, api_openapi, "This description" },
    { "GET",    "/version",           "version",          NONE,     API_PUBLIC, NULL, api_version, "Program and API version" },
    { "GET",    "/ca",                "ca",               NONE,     API_PUBLIC, NULL, api_ca, "The certificate authority, to be checked by its fingerprint" },
    { "GET",    "/events",            "events",           VIEWER,   API_STREAM, NULL, api_events, "Changes as server-sent events" },
    { "GET",    "/overview",          "overview",         VIEWER,   0,        NULL, NULL, "Regions, latency, counts, running jobs" },
    { "GET",    "/nodes",             "node.list",        VIEWER,   0,        NULL, NULL, "List nodes" },
    { "POST",   "/nodes/user-data",   "node.user_data",   ADMIN,    API_BODY, NULL, NULL, "Make the user-data that lets a new node join" },
    { "GET",    "/nodes/{id}",        "node.show",        VIEWER,   0,        NULL, NULL, "Show a node" },
    { "DELETE", "/nodes/{id}",        "node.delete",      ADMIN,    0,        NULL, NULL, "Forget a node that is down and empty" },
    { "GET",    "/tokens",            "token.list",       ADMIN,    0,        NULL, NULL, "List join tokens" },
    { "POST",   "/tokens",            "token.create",     ADMIN,    API_BODY, NULL, NULL, "Create a join token" },
    { "DELETE", "/tokens/{id}",       "token.delete",     ADMIN,    0,        NULL, NULL, "Delete a join token" },
    { "GET",    "/images",            "image.list",       VIEWER,   0,        NULL, NULL, "List images" },
    { "POST",   "/images",            "image.create",     OPERATOR, API_BODY, NULL, NULL, "Create an image; its file is uploaded next" },
    { "GET",    "/images/{id}",       "image.show",       VIEWER,   0,        NULL, NULL, "Show an image" },
    { "DELETE", "/images/{id}",       "image.delete",     OPERATOR, 0,        NULL, NULL, "Delete an image that nothing uses" },
    { "PUT",    "/images/{id}/file",  "image.upload",     OPERATOR, API_STREAM, NULL, api_image_upload, "Upload an image's bytes" },
    { "GET",    "/provider-drivers",  "provider.drivers", VIEWER,   0,        NULL, NULL, "List the drivers for providers, with their settings" },
    { "GET",    "/providers",         "provider.list",    VIEWER,   0,        NULL, NULL, "List accounts at providers" },
    { "POST",   "/providers",         "provider.create",  ADMIN,    API_BODY, NULL, NULL, "Add an account at a provider; the credential is tried first" },
    { "GET",    "/providers/{id}",    "provider.show",    VIEWER,   0,        NULL, NULL, "Show an account at a provider" },
    { "PUT",    "/providers/{id}",    "provider.update",  ADMIN,    API_BODY, NULL, NULL, "Change an account's settings or secret; tried first" },
    { "DELETE", "/providers/{id}",    "provider.delete",  ADMIN,    0, "force:bool", NULL, "Remove an account that has nothing left" },
    { "GET",    "/providers/{id}/regions", "provider.regions", VIEWER, 0,     NULL, NULL, "List a provider's regions" },
    { "GET",    "/providers/{id}/types", "provider.types", VIEWER,  0, "region", NULL, "List the types of instance in a region" },
    { "GET",    "/providers/{id}/prices", "provider.prices", VIEWER, 0, "region,type", NULL, "List prices in a region" },
    { "GET",    "/providers/{id}/images", "provider.images", VIEWER, 0,       NULL, NULL, "List the images published at a provider" },
    { "POST",   "/providers/{id}/images", "provider.image_create", ADMIN, API_BODY, NULL, NULL, "Begin to publish an image; its file is uploaded next" },
    { "DELETE", "/providers/{id}/images/{image}", "provider.image_delete", ADMIN, 0, NULL, NULL, "Remove an image at a provider" },
    { "PUT",    "/providers/{id}/images/{image}/file", "provider.image_upload", ADMIN, API_STREAM, NULL, api_provider_image_upload, "Upload an image's bytes; publishing goes on from there" },
    { "GET",    "/providers/{id}/instances", "provider.instances", VIEWER, 0, "region", NULL, "List instances at a provider" },
    { "POST",   "/providers/{id}/launch", "provider.launch", ADMIN, API_BODY, NULL, NULL, "Launch instances that join as nodes" },
    { "DELETE", "/providers/{id}/instances/{instance}", "provider.terminate", ADMIN, 0, "region,force:bool", NULL, "End an instance" },
    { "GET",    "/providers/{id}/instances/{instance}/console-log", "provider.console_log", ADMIN, 0, "region", NULL, "The newest of an instance's serial log" },
    { "POST",   "/providers/{id}/instances/{instance}/fence", "provider.fence", ADMIN, API_BODY, NULL, NULL, "Power an instance off for certain" },
    { "POST",   "/providers/{id}/gc", "provider.gc",      ADMIN,    API_BODY, NULL, NULL, "List or remove what is left over at a provider" },
    { "GET",    "/networks",          "network.list",     VIEWER,   0,        NULL, NULL, "List networks" },
    { "POST",   "/networks",          "network.create",   OPERATOR, API_BODY, NULL, NULL, "Create a network" },
    { "GET",    "/networks/{id}",     "network.show",     VIEWER,   0,        NULL, NULL, "Show a network" },
    { "DELETE", "/networks/{id}",     "network.delete",   OPERATOR, 0,        NULL, NULL, "Delete a network that nothing uses" },
    { "GET",    "/vms",               "vm.list",          VIEWER,   0,        NULL, NULL, "List VMs" },
    { "POST",   "/vms",               "vm.create",        OPERATOR, API_BODY, NULL, NULL, "Create a VM and start it" },
    { "GET",    "/vms/{id}",          "vm.show",          VIEWER,   0,        NULL, NULL, "Show a VM" },
    { "DELETE", "/vms/{id}",          "vm.delete",        OPERATOR, 0, "force:bool", NULL, "Delete a VM and its disks" },
    { "POST",   "/vms/{id}/start",    "vm.start",         OPERATOR, API_BODY, NULL, NULL, "Start a VM" },
    { "POST",   "/vms/{id}/stop",     "vm.stop",          OPERATOR, API_BODY, NULL, NULL, "Stop a VM" },
    { "POST",   "/vms/{id}/migrate",  "vm.migrate",       OPERATOR, API_BODY, NULL, NULL, "Move a running VM to another node or region" },
    { "GET",    "/vms/{id}/console-log", "vm.console_log", VIEWER,  0, "bytes:int", NULL, "The newest output of the serial console" },
    { "GET",    "/vms/{id}/console",  "vm.console",       OPERATOR, API_STREAM, NULL, api_console_plain, "The serial console, as a WebSocket" },
    { "GET",    "/jobs",              "job.list",         VIEWER,   0, "limit:int", NULL, "List jobs, newest first" },
    { "GET",    "/jobs/{id}",         "job.show",         VIEWER,   0,        NULL, NULL, "Show a job with its steps and log" },
    { "POST",   "/jobs/{id}/cancel",  "job.cancel",       OPERATOR, API_BODY, NULL, NULL, "Cancel a job: it is undone, and ends as cancelled" },
};
/* clang-format on */
const size_t api_n_routes = SC_ARRAY_LEN(api_routes);

const struct api_route *api_route_find_op(const char *op)
{
    for (size_t i = 0; i < api_n_routes; i++)
        if (strcmp(api_routes[i].op, op) == 0)
            return &api_routes[i];
    return NULL;
}

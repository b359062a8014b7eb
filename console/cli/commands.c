/* commands - the table. */
#include "cli/cli.h"

#define OPTIONS(...)                                                           \
    (const struct cli_option[])                                                \
    {                                                                          \
        __VA_ARGS__,                                                           \
        {                                                                      \
            0                                                                  \
        }                                                                      \
    }
#define WAIT                                                                   \
    {                                                                          \
        "wait", NULL, "Wait for the job's end, showing its progress", 0        \
    }

const struct cli_option cli_common_options[] = {
    { "output", "FORMAT", "table (default), json, or name; short: -o", 0 },
    { "url", "URL", "The controller, instead of the one logged in to", 0 },
    { "help", NULL, "Show the command's help; short: -h", 0 },
    { 0 },
};

/* clang-format off */
const struct cli_command cli_commands[] = {
    { "login", "[URL]", "Log in to a controller and keep an API token", 0, 1, cmd_login, OPTIONS(
        { "user", "USER", "Who; asked for if absent", 0 },
        { "password-stdin", NULL, "Read the password's line from standard input", 0 },
        { "ca-fingerprint", "HEX", "Trust the controller only with this CA fingerprint", 0 },
        { "trust", NULL, "Trust the CA that is shown, without asking", 0 },
        { "ttl", "SECONDS", "How long the token is good; default 90 days", 0 }) },
    { "logout", "", "Revoke the API token and forget it", 0, 0, cmd_logout, NULL },
    { "whoami", "", "Show the user and role logged in as", 0, 0, cmd_whoami, NULL },
    { "password", "", "Change one's own password", 0, 0, cmd_password, NULL },
    { "overview", "", "Show regions, latency and running jobs", 0, 0, cmd_overview, NULL },
    { "node list", "", "List nodes", 0, 0, cmd_node_list, NULL },
    { "node show", "NODE", "Show a node", 1, 1, cmd_node_show, NULL },
    { "node delete", "NODE", "Forget a node that is down and empty", 1, 1, cmd_node_delete, NULL },
    { "node user-data", "", "Print the user-data that lets a new instance join", 0, 0, cmd_node_user_data, OPTIONS(
        { "region", "REGION", "Region the node will be in", 1 },
        { "provider", "PROVIDER", "Its provider: ec2, gce, azure, local ..., or the name of an account", 1 },
        { "name", "NAME", "The node's name", 0 },
        { "role", "ROLE", "node (default) or controller: the first of a new Supercloud", 0 },
        { "hypervisor", "HYPERVISOR", "xen or qemu; default: found at boot", 0 },
        { "format", "FORM", "cloud-config (default), to paste; or terraform", 0 },
        { "file", "FILE", "Write it to FILE, mode 0600", 0 },
        { "console-name", "NAME", "Of a controller: its public name, for a certificate by ACME", 0 },
        { "acme-email", "EMAIL", "Of a controller: whom the certificate's issuer writes to", 0 },
        { "acme-directory", "URL", "Of a controller: the issuer; default Let's Encrypt", 0 },
        { "ttl", "SECONDS", "How long it may be used; default one hour", 0 },
        { "uses", "N", "How many nodes may join by it; 0: any number; default 1", 0 }) },
    { "token create", "", "Create a join token; it is shown once", 0, 0, cmd_token_create, OPTIONS(
        { "region", "REGION", "Only for this region", 0 },
        { "provider", "PROVIDER", "Only for this provider", 0 },
        { "ttl", "SECONDS", "How long it may be used; default one hour", 0 },
        { "uses", "N", "How many nodes may join by it; 0: any number; default 1", 0 }) },
    { "token list", "", "List join tokens", 0, 0, cmd_token_list, NULL },
    { "token delete", "TOKEN", "Delete a join token", 1, 1, cmd_token_delete, NULL },
    { "image list", "", "List images", 0, 0, cmd_image_list, NULL },
    { "image show", "IMAGE", "Show an image", 1, 1, cmd_image_show, NULL },
    { "image create", "NAME FILE", "Upload FILE as a new image", 2, 2, cmd_image_create, OPTIONS(
        { "kind", "KIND", "disk (default), kernel or ramdisk", 0 },
        { "kernel", "IMAGE", "Kernel image that boots this disk", 0 },
        { "ramdisk", "IMAGE", "Ramdisk image that boots this disk", 0 },
        { "cmdline", "TEXT", "Kernel command line", 0 },
        { "min-memory", "MIB", "Least memory of a VM of it", 0 }) },
    { "image delete", "IMAGE", "Delete an image that nothing uses", 1, 1, cmd_image_delete, OPTIONS(WAIT) },
    { "network list", "", "List networks", 0, 0, cmd_network_list, NULL },
    { "network show", "NETWORK", "Show a network", 1, 1, cmd_network_show, NULL },
    { "network create", "NAME CIDR", "Create a network, e.g. 10.42.0.0/24", 2, 2, cmd_network_create, OPTIONS(
        { "gateway", "ADDRESS", "Gateway; default: the first address", 0 },
        { "dns", "ADDRESS", "DNS server told to guests", 0 }) },
    { "network delete", "NETWORK", "Delete a network that nothing uses", 1, 1, cmd_network_delete, NULL },
    { "vm list", "", "List VMs and where each runs", 0, 0, cmd_vm_list, NULL },
    { "vm show", "VM", "Show a VM", 1, 1, cmd_vm_show, NULL },
    { "vm create", "NAME", "Create a VM and start it", 1, 1, cmd_vm_create, OPTIONS(
        { "image", "IMAGE", "What its disk is a copy of", 1 },
        { "network", "NETWORK", "Where its port is", 1 },
        { "memory", "MIB", "Memory; default 128", 0 },
        { "vcpus", "N", "Virtual processors; default 1", 0 },
        { "disk", "GIB", "Size of the disk; default: the image's", 0 },
        { "region", "REGION", "Where to start it; without room there: nearest to it", 0 },
        { "node", "NODE", "On which node to start it", 0 },
        { "cmdline", "TEXT", "Kernel command line, instead of the image's", 0 },
        WAIT) },
    { "vm start", "VM", "Start a VM", 1, 1, cmd_vm_start, OPTIONS(WAIT) },
    { "vm stop", "VM", "Stop a VM", 1, 1, cmd_vm_stop, OPTIONS(
        { "force", NULL, "Do not ask the guest", 0 },
        WAIT) },
    { "vm migrate", "VM [NODE]", "Move a running VM to another node or region", 1, 2, cmd_vm_migrate, OPTIONS(
        { "region", "REGION", "To any node of this region", 0 },
        WAIT) },
    { "vm console", "VM", "Open the serial console; Ctrl-] leaves it", 1, 1, cmd_vm_console, NULL },
    { "vm console-log", "VM", "Print the newest output of the serial console", 1, 1, cmd_vm_console_log, OPTIONS(
        { "bytes", "N", "At most so many bytes", 0 }) },
    { "vm delete", "VM", "Delete a VM and its disks", 1, 1, cmd_vm_delete, OPTIONS(
        { "force", NULL, "Give it up although its node is down", 0 },
        WAIT) },
    { "provider drivers", "", "List the drivers for providers, with their settings", 0, 0, cmd_provider_drivers, NULL },
    { "provider add", "PROVIDER DRIVER", "Add an account at a provider; the credential is tried first", 2, 2, cmd_provider_add, OPTIONS(
        { "set", "KEY=VALUE...", "A setting of the driver; KEY:=JSON if it is no text", 0 },
        { "secret-file", "FILE", "The secret: lines KEY=VALUE, a JSON object, or the provider's own key file", 0 },
        { "secret-stdin", NULL, "The same, from standard input", 0 },
        { "no-check", NULL, "Do not try the credential", 0 }) },
    { "provider list", "[PROVIDER]", "List accounts at providers; or the instances of one", 0, 1, cmd_provider_list, NULL },
    { "provider show", "PROVIDER", "Show an account", 1, 1, cmd_provider_show, NULL },
    { "provider update", "PROVIDER", "Change an account; the credential is tried first", 1, 1, cmd_provider_update, OPTIONS(
        { "set", "KEY=VALUE...", "A setting; 'KEY=' takes it away", 0 },
        { "secret-file", "FILE", "The new secret, as for add", 0 },
        { "secret-stdin", NULL, "The same, from standard input", 0 }) },
    { "provider remove", "PROVIDER", "Remove an account that has nothing left at its provider", 1, 1, cmd_provider_remove, OPTIONS(
        { "force", NULL, "Forget its images and instances; they stay at the provider", 0 }) },
    { "provider regions", "PROVIDER", "List its regions", 1, 1, cmd_provider_regions, NULL },
    { "provider types", "PROVIDER", "List the types of instance in a region", 1, 1, cmd_provider_types, OPTIONS(
        { "region", "REGION", "Where; default: the account's", 0 }) },
    { "provider prices", "PROVIDER", "List prices in a region", 1, 1, cmd_provider_prices, OPTIONS(
        { "region", "REGION", "Where; default: the account's", 0 },
        { "type", "TYPE", "Only for this type of instance", 0 }) },
    { "provider publish", "PROVIDER DIR", "Publish the image in DIR (manifest.json and the file it names)", 2, 2, cmd_provider_publish, OPTIONS(
        { "region", "REGION", "Where; default: the account's", 0 },
        { "name", "NAME", "Its name at the provider", 0 },
        { "option", "KEY=VALUE...", "An option of the driver, e.g. bucket=x", 0 },
        WAIT) },
    { "provider images", "PROVIDER", "List the images published there", 1, 1, cmd_provider_images, NULL },
    { "provider image-delete", "PROVIDER IMAGE", "Remove an image there", 2, 2, cmd_provider_image_delete, OPTIONS(WAIT) },
    { "provider launch", "PROVIDER NAME", "Launch an instance that joins as node NAME", 2, 2, cmd_provider_launch, OPTIONS(
        { "image", "IMAGE", "A published image, or the provider's own id", 1 },
        { "region", "REGION", "Where; default: the account's", 0 },
        { "zone", "ZONE", "Where in the region; default: any", 0 },
        { "type", "TYPE", "Its type; default: the driver's", 0 },
        { "count", "N", "So many, named NAME-1, NAME-2 ...", 0 },
        { "spot", NULL, "As a spot (preemptible) instance", 0 },
        { "max-price", "USD", "The most to pay an hour for a spot instance", 0 },
        { "disk", "GIB", "Size of its disk; default: the image's", 0 },
        { "hypervisor", "HYPERVISOR", "xen or qemu; default: found at boot", 0 },
        { "rule", "PROTOCOL:PORT[-PORT]:CIDR...", "Let this traffic in, e.g. tcp:7480-7482:0.0.0.0/0", 0 },
        { "option", "KEY=VALUE...", "An option of the driver", 0 },
        { "join-timeout", "SECONDS", "How long it may take to join; default 15 minutes", 0 },
        WAIT) },
    { "provider instances", "PROVIDER", "List the instances there", 1, 1, cmd_provider_instances, OPTIONS(
        { "region", "REGION", "Only this region", 0 }) },
    { "provider terminate", "PROVIDER INSTANCE", "End an instance and what only it uses", 2, 2, cmd_provider_terminate, OPTIONS(
        { "region", "REGION", "Where it is, if it was not launched from here", 0 },
        { "force", NULL, "Although guests are on its node", 0 },
        WAIT) },
    { "provider console", "PROVIDER INSTANCE", "Show the newest of an instance's serial log", 2, 2, cmd_provider_console, OPTIONS(
        { "region", "REGION", "Where it is, if it was not launched from here", 0 }) },
    { "provider fence", "PROVIDER INSTANCE", "Power an instance off for certain", 2, 2, cmd_provider_fence, OPTIONS(WAIT) },
    { "provider gc", "PROVIDER", "List what is left over at a provider", 1, 1, cmd_provider_gc, OPTIONS(
        { "remove", NULL, "Remove it", 0 },
        WAIT) },
    { "job list", "", "List jobs, newest first", 0, 0, cmd_job_list, OPTIONS(
        { "limit", "N", "At most so many; default 20", 0 }) },
    { "job show", "JOB", "Show a job with its steps and log", 1, 1, cmd_job_show, NULL },
    { "job watch", "JOB", "Follow a job to its end", 1, 1, cmd_job_watch, NULL },
    { "job cancel", "JOB", "Cancel a job: what it did is undone", 1, 1, cmd_job_cancel, OPTIONS(WAIT) },
    { "user list", "", "List the console's users", 0, 0, cmd_user_list, NULL },
    { "user create", "USER", "Create a user; the password is read from the terminal or standard input", 1, 1, cmd_user_create, OPTIONS(
        { "role", "ROLE", "viewer (default), operator or admin", 0 }) },
    { "user delete", "USER", "Delete a user and end its sessions", 1, 1, cmd_user_delete, NULL },
    { "daemon", "DAEMON ACTION [LEVEL]", "Ask a daemon of this machine: status, dump, log-level LEVEL", 2, 3, cmd_daemon, OPTIONS(
        { "run-dir", "DIR", "Where its socket is; default /run/supercloud", 0 }) },
    { "completion", "SHELL", "Print the completion script for bash, zsh or fish", 1, 1, cmd_completion, NULL },
    { "version", "", "Show the versions of this program and of the controller", 0, 0, cmd_version, NULL },
    { "help", "[COMMAND] [SUBCOMMAND]", "Show help", 0, 2, cmd_help, OPTIONS(
        { "man", NULL, "Print the manual page's source", 0 }) },
};
/* clang-format on */
const size_t cli_n_commands = SC_ARRAY_LEN(cli_commands);

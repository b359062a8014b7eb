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
        { "provider", "PROVIDER", "Its provider: ec2, gce, azure, local ...", 1 },
        { "name", "NAME", "The node's name", 0 },
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
        { "region", "REGION", "Where to start it", 0 },
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
    { "job list", "", "List jobs, newest first", 0, 0, cmd_job_list, OPTIONS(
        { "limit", "N", "At most so many; default 20", 0 }) },
    { "job show", "JOB", "Show a job with its steps and log", 1, 1, cmd_job_show, NULL },
    { "job watch", "JOB", "Follow a job to its end", 1, 1, cmd_job_watch, NULL },
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

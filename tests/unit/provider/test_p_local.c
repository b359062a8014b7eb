/* The local provider, with programs of its own put before QEMU's in PATH: what
 * it asks for, and that a failed launch leaves nothing. */
#include "provider/provider.h"

#include "common/json.h"
#include "provider/run.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

static char folder[64];

static void put_program(const char *name, const char *script)
{
    char path[256];
    snprintf(path, sizeof path, "%s/bin/%s", folder, name);
    FILE *f = fopen(path, "we");
    fprintf(f, "#!/bin/sh\n%s\n", script);
    fclose(f);
    chmod(path, 0755);
}

static void set_up(void)
{
    char path[512];
    snprintf(folder, sizeof folder, "/tmp/p_local.XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/bin", folder);
    mkdir(path, 0755);
    /* Lives for a minute with the instance's folder on its command line, as
     * QEMU has (so the shell must not become the last program it runs), and is
     * there when its starter ends. */
    put_program(
        "qemu-system-x86_64",
        "printf '%s\\n' \"$@\" > arguments\n"
        "setsid sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5; "
        "done' \"$PWD/\" >/dev/null 2>&1 &\n"
        "until tr '\\0' ' ' </proc/$!/cmdline | grep -q \"for.*$PWD/\"; "
        "do sleep 0.01; done\n"
        "echo $! > qemu.pid");
    put_program("qemu-img", "touch disk.qcow2");
    put_program("mkfs.vfat", "touch seed.img");
    put_program("mcopy", "exit 0");
    snprintf(path, sizeof path, "%s/bin:%s", folder, getenv("PATH"));
    setenv("PATH", path, 1);
    snprintf(path, sizeof path, "%s/image.qcow2", folder);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static void tear_down(void)
{
    run_remove_folder(folder);
}

TestSuite(p_local, .init = set_up, .fini = tear_down);

static struct provider *open_local(void)
{
    struct sc_err err = { 0 };
    struct provider *p = NULL;
    SC_AUTO(cjson_free) cJSON *config = cJSON_CreateObject();
    json_set_strf(config, "dir", "%s/instances", folder);
    cr_assert_eq(provider_open("local", config, NULL, &p, &err), 0, "%s",
                 err.text);
    return p;
}

static int launch_as(struct provider *p, const char *name, const char *token,
                     const char *options, struct sc_err *err)
{
    char image[128];
    snprintf(image, sizeof image, "%s/image.qcow2", folder);
    SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(options);
    struct provider_launch l = { .name = name,
                                 .region = "us-east",
                                 .image = image,
                                 .user_data = "#cloud-config\n",
                                 .options = o,
                                 .tags = { "c1", token } };
    struct provider_instance i = { 0 };
    int r = provider_launch(p, &l, &i, err);
    provider_instance_clear(&i);
    return r;
}

static int launch(struct provider *p, const char *name, const char *options,
                  struct sc_err *err)
{
    return launch_as(p, name, name, options, err);
}

static int count(void *arg, const struct provider_instance *i)
{
    if (i->state == PROVIDER_RUNNING)
        ++*(int *)arg;
    return 0;
}

Test(p_local, a_launched_instance_is_listed_and_terminate_removes_all_of_it)
{
    SC_AUTO(provider_close) struct provider *p = open_local();
    struct sc_err err = { 0 };
    int n = 0;
    cr_assert_eq(launch(p, "us-1",
                        "{\"address\": \"10.200.0.1/24\", \"memory_mib\": 777,"
                        " \"forward\": [{\"host\": 8443, \"guest\": 443}]}",
                        &err),
                 0, "%s", err.text);
    cr_assert_eq(provider_list(p, NULL, count, &n, &err), 0);
    cr_expect_eq(n, 1);
    char path[256];
    snprintf(path, sizeof path, "%s/instances/us-1/arguments", folder);
    SC_AUTO(free) char *arguments = NULL;
    cr_assert_eq(run_read_file(path, &arguments), 0);
    cr_expect(strstr(arguments, "restrict=on,"
                                "hostfwd=tcp:127.0.0.1:8443-:443\n"));
    cr_expect(strstr(arguments, "\n777\n"));
    cr_assert_eq(provider_terminate(p, NULL, "us-1", &err), 0, "%s", err.text);
    n = 0;
    cr_assert_eq(provider_list(p, NULL, count, &n, &err), 0);
    cr_expect_eq(n, 0);
    snprintf(path, sizeof path, "%s/instances/us-1", folder);
    cr_expect_neq(access(path, F_OK), 0, "the folder is gone");
    cr_expect_eq(provider_terminate(p, NULL, "us-1", &err), 0,
                 "again is no error");
}

Test(p_local, the_same_name_twice_is_refused_and_the_first_lives_on)
{
    SC_AUTO(provider_close) struct provider *p = open_local();
    struct sc_err err = { 0 };
    int n = 0;
    cr_assert_eq(launch(p, "a", "{}", &err), 0, "%s", err.text);
    cr_expect_eq(launch_as(p, "a", "another", "{}", &err), -EEXIST);
    cr_expect(strstr(err.text, "terminate it first"));
    cr_assert_eq(provider_list(p, NULL, count, &n, &err), 0);
    cr_expect_eq(n, 1);
    cr_expect_eq(provider_terminate(p, NULL, "a", &err), 0);
}

Test(p_local, the_same_launch_again_is_the_same_instance)
{
    SC_AUTO(provider_close) struct provider *p = open_local();
    struct sc_err err = { 0 };
    int n = 0;
    cr_assert_eq(launch_as(p, "a", "job", "{}", &err), 0, "%s", err.text);
    cr_expect_eq(launch_as(p, "a", "job", "{}", &err), 0, "%s", err.text);
    cr_assert_eq(provider_list(p, NULL, count, &n, &err), 0);
    cr_expect_eq(n, 1);
    cr_assert_eq(provider_fence(p, NULL, "a", &err), 0);
    cr_expect_eq(launch_as(p, "a", "job", "{}", &err), 0,
                 "one that was interrupted is made anew: %s", err.text);
    n = 0;
    cr_assert_eq(provider_list(p, NULL, count, &n, &err), 0);
    cr_expect_eq(n, 1);
    cr_expect_eq(provider_terminate(p, NULL, "a", &err), 0);
}

static int take_resource(void *arg, const struct provider_resource *r)
{
    snprintf(arg, 64, "%s %s", r->kind, r->id);
    return 0;
}

Test(p_local, what_a_cluster_left_is_found_and_removed)
{
    SC_AUTO(provider_close) struct provider *p = open_local();
    struct sc_err err = { 0 };
    char found[64] = "";
    cr_assert_eq(launch(p, "a", "{}", &err), 0, "%s", err.text);
    cr_assert_eq(provider_leftovers(p, "c2", take_resource, found, &err), 0);
    cr_expect_str_eq(found, "", "another cluster's");
    cr_assert_eq(provider_leftovers(p, "c1", take_resource, found, &err), 0);
    cr_expect_str_eq(found, "instance a");
    cr_expect_eq(provider_remove(p, "disk", NULL, "a", &err), -EINVAL);
    cr_expect_eq(provider_remove(p, "instance", NULL, "a", &err), 0);
    found[0] = '\0';
    cr_assert_eq(provider_leftovers(p, "c1", take_resource, found, &err), 0);
    cr_expect_str_eq(found, "");
}

Test(p_local, a_failed_launch_leaves_nothing_and_tells_qemus_own_words)
{
    SC_AUTO(provider_close) struct provider *p = open_local();
    struct sc_err err = { 0 };
    char path[256];
    put_program("qemu-system-x86_64", "echo no such machine >&2; exit 1");
    cr_expect_eq(launch(p, "a", "{}", &err), -EIO);
    cr_expect(strstr(err.text, "no such machine"), "%s", err.text);
    snprintf(path, sizeof path, "%s/instances/a", folder);
    cr_expect_neq(access(path, F_OK), 0);
}

static const struct {
    const char *name, *options, *want;
} bad_options[] = {
    { "port out of range", "{\"forward\": [{\"host\": 70000, \"guest\": 1}]}",
      "host" },
    { "memory as text", "{\"memory_mib\": \"much\"}", "memory_mib" },
};

Test(p_local, bad_options_are_named)
{
    SC_AUTO(provider_close) struct provider *p = open_local();
    for (size_t i = 0; i < sizeof bad_options / sizeof *bad_options; i++) {
        struct sc_err err = { 0 };
        cr_expect_eq(launch(p, "a", bad_options[i].options, &err), -EINVAL,
                     "case '%s'", bad_options[i].name);
        cr_expect(strstr(err.text, bad_options[i].want), "case '%s': %s",
                  bad_options[i].name, err.text);
    }
}

Test(p_local, a_pid_that_was_used_again_is_not_taken_for_the_machine)
{
    SC_AUTO(provider_close) struct provider *p = open_local();
    struct sc_err err = { 0 };
    int n = 0;
    char path[256], pid[32];
    cr_assert_eq(launch(p, "a", "{}", &err), 0, "%s", err.text);
    cr_assert_eq(provider_fence(p, NULL, "a", &err), 0, "%s", err.text);
    snprintf(path, sizeof path, "%s/instances/a/qemu.pid", folder);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    FILE *f = fopen(path, "we");
    fputs(pid, f);
    fclose(f);
    cr_assert_eq(provider_list(p, NULL, count, &n, &err), 0);
    cr_expect_eq(n, 0);
    cr_expect_eq(provider_fence(p, NULL, "a", &err), 0,
                 "and nobody was killed");
}

static struct provider *open_like(const char *like, struct sc_err *err)
{
    struct provider *p = NULL;
    SC_AUTO(cjson_free) cJSON *config = cJSON_CreateObject();
    json_set_strf(config, "dir", "%s/instances", folder);
    cJSON_AddStringToObject(config, "like", like);
    json_set_strf(config, "emulator", "%s/bin/emulator", folder);
    /* As the real one: it stays, with the folder on its command line. */
    put_program("emulator",
                "stat -c %a provider.json > mode; cp provider.json told\n"
                "setsid sh -c 'sleep 60' \"$2/\" >/dev/null 2>&1 &\n"
                "echo $! > metadata.pid");
    return provider_open("local", config, NULL, &p, err) < 0 ? NULL : p;
}

static const struct {
    const char *like, *want[3];
} hardware[] = {
    { "ec2", { "\nnvme,", "\ne1000e,netdev=net0", "serial=ec2" } },
    { "gce",
      { "\nscsi-hd,", "\nvirtio-net-pci,netdev=net0",
        "product=Google Compute Engine,uuid=" } },
    { "azure",
      { "\nide-hd,", "disc.iso", "asset=7783-7084-3265-9085-8269-3286-77\n" } },
    { "rackspace",
      { "\nvirtio-blk-pci,", "\nvirtio-net-pci,netdev=net0",
        "product=OpenStack Nova," } },
    { "rackspace-classic", { "\npc\n", "\nrtl8139,", "disc.iso" } },
};

Test(p_local, a_machine_like_another_providers_has_its_hardware_and_identity)
{
    for (size_t i = 0; i < sizeof hardware / sizeof *hardware; i++) {
        struct sc_err err = { 0 };
        const char *like = hardware[i].like;
        SC_AUTO(provider_close) struct provider *p = open_like(like, &err);
        cr_assert(p, "case '%s': %s", like, err.text);
        cr_assert_eq(launch(p, "a", "{\"address\": \"10.200.0.1/24\"}", &err),
                     0, "case '%s': %s", like, err.text);
        SC_AUTO(free) char *arguments = NULL, *told = NULL, *mode = NULL;
        char path[256];
        snprintf(path, sizeof path, "%s/instances/a/arguments", folder);
        cr_assert_eq(run_read_file(path, &arguments), 0);
        for (size_t k = 0; k < 3; k++)
            cr_expect(strstr(arguments, hardware[i].want[k]),
                      "case '%s': no '%s' in %s", like, hardware[i].want[k],
                      arguments);
        cr_expect(!strstr(arguments, "%U") && !strstr(arguments, "user,id="),
                  "case '%s'", like);
        snprintf(path, sizeof path, "%s/instances/a/told", folder);
        cr_assert_eq(run_read_file(path, &told), 0);
        snprintf(path, sizeof path, "%s/instances/a/mode", folder);
        cr_assert_eq(run_read_file(path, &mode), 0);
        cr_expect_str_eq(mode, "600\n", "the user-data is in it");
        SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(told);
        const char *uuid = cJSON_GetStringValue(cJSON_GetObjectItem(o, "uuid"));
        cr_assert(uuid && strstr(arguments, uuid),
                  "case '%s': the firmware and the provider tell one UUID",
                  like);
        cr_expect_str_eq(
            cJSON_GetStringValue(cJSON_GetObjectItem(o, "user_data")),
            "#cloud-config\n");
        cr_assert_eq(provider_terminate(p, NULL, "a", &err), 0, "%s", err.text);
    }
}

/* A zombie, which nobody may have waited for yet, does not. */
static bool lives(const char *pid_file)
{
    SC_AUTO(free) char *pid = NULL, *command = NULL;
    size_t size = 0;
    char path[64];
    cr_assert_eq(run_read_file(pid_file, &pid), 0);
    snprintf(path, sizeof path, "/proc/%ld/cmdline", strtol(pid, NULL, 10));
    return run_read_file_size(path, &command, &size) == 0 && size > 0;
}

Test(p_local, terminate_ends_the_emulated_provider_too)
{
    struct sc_err err = { 0 };
    char path[256], kept[128];
    SC_AUTO(provider_close) struct provider *p = open_like("ec2", &err);
    cr_assert_eq(launch(p, "a", "{}", &err), -EINVAL);
    cr_expect(strstr(err.text, "address"), "%s", err.text);
    cr_assert_eq(launch(p, "a", "{\"address\": \"10.200.0.1/24\"}", &err), 0,
                 "%s", err.text);
    snprintf(path, sizeof path, "%s/instances/a/metadata.pid", folder);
    snprintf(kept, sizeof kept, "%s/pid", folder);
    cr_assert_eq(link(path, kept), 0);
    cr_expect(lives(kept));
    cr_assert_eq(provider_fence(p, NULL, "a", &err), 0, "%s", err.text);
    cr_expect(lives(kept), "a machine without power keeps its provider");
    cr_assert_eq(provider_terminate(p, NULL, "a", &err), 0, "%s", err.text);
    cr_expect(!lives(kept));
}

Test(p_local, a_failed_launch_ends_the_emulated_provider)
{
    struct sc_err err = { 0 };
    SC_AUTO(provider_close) struct provider *p = open_like("gce", &err);
    put_program("qemu-system-x86_64",
                "cp metadata.pid ../../pid; echo no such machine >&2; exit 1");
    cr_assert_eq(launch(p, "a", "{\"address\": \"10.200.0.1/24\"}", &err),
                 -EIO);
    char kept[128];
    snprintf(kept, sizeof kept, "%s/pid", folder);
    cr_expect(!lives(kept));
}

Test(p_local, like_must_be_known_and_needs_an_emulator)
{
    struct sc_err err = { 0 };
    struct provider *p = NULL;
    cr_expect_null(open_like("moon", &err));
    cr_expect(strstr(err.text, "rackspace-classic"), "%s", err.text);
    SC_AUTO(cjson_free) cJSON *config = cJSON_CreateObject();
    json_set_strf(config, "dir", "%s/instances", folder);
    cJSON_AddStringToObject(config, "like", "ec2");
    cr_expect_eq(provider_open("local", config, NULL, &p, &err), -EINVAL);
    cr_expect(strstr(err.text, "emulator"), "%s", err.text);
}

Test(p_local, an_unknown_driver_lists_those_there_are)
{
    struct sc_err err = { 0 };
    struct provider *p = NULL;
    cr_expect_eq(provider_open("moon", NULL, NULL, &p, &err), -ENOENT);
    cr_expect(strstr(err.text, "local"));
}

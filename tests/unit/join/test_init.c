#include "../common/helper.h"
#include "common/config.h"
#include "join/join.h"

#include <dirent.h>
#include <sys/stat.h>

static void request_fini_p(struct join_request *r)
{
    request_fini(r);
}

static struct join_request request_in(const struct temp_dir *out)
{
    return (struct join_request){
        .init = true,
        .region = strdup("us-east"),
        .provider = strdup("local"),
        .name = strdup("us-1"),
        .address = strdup("10.9.8.7"),
        .hypervisor = strdup("fake"),
        .run_dir = strdup(in(out, "run")),
        .state_dir = strdup(in(out, "state")),
        .pki_dir = strdup(in(out, "state/pki")),
        .config_out = strdup(in(out, "etc/sc/supercloud.json")),
    };
}

static bool same_file(const char *path, const char *text)
{
    SC_AUTO(free) char *now = NULL;
    return tls_read_file(path, &now, NULL) == 0 && !strcmp(now, text);
}

Test(init, makes_authority_controller_first_node_and_network)
{
    TEMP_DIR(out);
    SC_AUTO(request_fini) struct join_request r = request_in(&out);
    struct join_result done = { 0 };
    struct join_failure f = { 0 };
    cr_assert_eq(join_init_controller(&r, &done, &f), 0, "%s", f.text);
    cr_expect_eq(done.nid, 1);
    SC_AUTO(sc_config_free) struct sc_config *c = NULL;
    struct sc_err err;
    cr_assert_eq(sc_config_load(r.config_out, &c, &err), 0, "%s", err.text);
    cr_expect(c->is_controller && c->is_node);
    cr_expect_str_eq(c->controller_host, "10.9.8.7");
    char cn[TLS_NAME_MAX + 1], ou[TLS_NAME_MAX + 1];
    cr_assert_eq(tls_subject(in(&out, "state/pki/node.crt"), cn, ou, &err), 0);
    cr_expect_str_eq(cn, c->node_id);
    cr_expect_str_eq(ou, "node");
    cr_assert_eq(tls_subject(in(&out, "state/pki/network.crt"), cn, ou, &err),
                 0);
    cr_expect_str_eq(ou, "network");
    cr_assert_eq(
        tls_subject(in(&out, "state/pki/controller.crt"), cn, ou, &err), 0);
    cr_expect_str_eq(cn, "supercloud-controller");
    cr_expect_str_eq(ou, "controller");
    struct stat st;
    cr_assert_eq(stat(in(&out, "state/pki/ca.key"), &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    cr_assert_eq(stat(in(&out, "state/pki/node.key"), &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0640);
}

Test(init, a_second_time_changes_nothing)
{
    TEMP_DIR(out);
    SC_AUTO(request_fini) struct join_request r = request_in(&out);
    struct join_result done = { 0 };
    struct join_failure f = { 0 };
    SC_AUTO(free) char *ca = NULL;
    SC_AUTO(free) char *config = NULL;
    cr_assert_eq(join_init_controller(&r, &done, &f), 0, "%s", f.text);
    cr_assert_eq(tls_read_file(in(&out, "state/pki/ca.crt"), &ca, NULL), 0);
    cr_assert_eq(tls_read_file(r.config_out, &config, NULL), 0);
    cr_assert_eq(join_init_controller(&r, &done, &f), 0);
    cr_expect(done.was_member);
    cr_expect(same_file(in(&out, "state/pki/ca.crt"), ca));
    cr_expect(same_file(r.config_out, config));
}

Test(init, an_authority_without_configuration_is_kept_with_the_nodes_id)
{
    TEMP_DIR(out);
    SC_AUTO(request_fini) struct join_request r = request_in(&out);
    struct join_result first = { 0 }, second = { 0 };
    struct join_failure f = { 0 };
    SC_AUTO(free) char *ca = NULL;
    cr_assert_eq(join_init_controller(&r, &first, &f), 0, "%s", f.text);
    cr_assert_eq(tls_read_file(in(&out, "state/pki/ca.crt"), &ca, NULL), 0);
    cr_assert_eq(unlink(r.config_out), 0);
    cr_assert_eq(join_init_controller(&r, &second, &f), 0, "%s", f.text);
    cr_expect_not(second.was_member);
    cr_expect(same_file(in(&out, "state/pki/ca.crt"), ca));
    cr_expect_str_eq(first.node_id, second.node_id);
}

Test(init, what_cannot_be_written_leaves_nothing)
{
    TEMP_DIR(out);
    SC_AUTO(request_fini) struct join_request r = request_in(&out);
    /* The configuration's name is a folder with something in it. */
    cr_assert_eq(mkdir(in(&out, "etc"), 0755), 0);
    cr_assert_eq(mkdir(in(&out, "etc/sc"), 0755), 0);
    cr_assert_eq(mkdir(r.config_out, 0755), 0);
    cr_assert_eq(mkdir(in(&out, "etc/sc/supercloud.json/x"), 0755), 0);
    struct join_result done = { 0 };
    struct join_failure f = { 0 };
    cr_expect_eq(join_init_controller(&r, &done, &f), -1);
    cr_expect_eq(f.code, JOIN_FILES, "%s", f.text);
    cr_expect_neq(access(r.pki_dir, F_OK), 0);
    DIR *d = opendir(r.state_dir);
    cr_assert(d);
    for (struct dirent *e; (e = readdir(d));)
        cr_expect_eq(e->d_name[0], '.', "left: %s", e->d_name);
    closedir(d);
}

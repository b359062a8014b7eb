#include "helper.h"

#include <sys/stat.h>

static mode_t mode_of(const char *path)
{
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    return st.st_mode & 0777;
}

/* The output of a shell command, as another implementation's opinion. */
static const char *say(const char *fmt, const char *dir)
{
    static char text[16384];
    char command[1024];
    snprintf(command, sizeof command, fmt, dir, dir);
    FILE *f = popen(command, "r");
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    pclose(f);
    return text;
}

Test(tls_ca, an_authority_is_made_once_with_a_private_key)
{
    TEMP_DIR(d);
    struct sc_err err;
    cr_assert_eq(tls_ca_create(in(&d, "ca.crt"), in(&d, "ca.key"), "x", &err),
                 0, "%s", err.text);
    cr_expect_eq(mode_of(in(&d, "ca.key")), 0600);
    cr_expect_eq(tls_ca_create(in(&d, "ca.crt"), in(&d, "other"), "x", &err),
                 -EEXIST);
    cr_expect_eq(tls_ca_create(in(&d, "other"), in(&d, "ca.key"), "x", &err),
                 -EEXIST);
    const char *text = say("openssl x509 -in %s/ca.crt -noout -text", d.path);
    cr_expect(strstr(text, "CA:TRUE, pathlen:0"), "%s", text);
    cr_expect(strstr(text, "Certificate Sign, CRL Sign"), "%s", text);
    cr_expect(strstr(text, "prime256v1"), "%s", text);
}

Test(tls_ca, the_pin_is_sha256_of_the_der)
{
    TEMP_DIR(d);
    struct sc_err err;
    char pin[TLS_PIN_LEN + 1], want[TLS_PIN_LEN + 1] = "";
    SC_AUTO(free) char *pem = NULL;
    cr_assert_eq(tls_ca_create(in(&d, "ca.crt"), in(&d, "ca.key"), "x", &err),
                 0);
    cr_assert_eq(tls_read_file(in(&d, "ca.crt"), &pem, &err), 0);
    cr_assert_eq(tls_pin(pem, pin, &err), 0);
    snprintf(
        want, sizeof want, "%.64s",
        say("openssl x509 -in %s/ca.crt -outform der | sha256sum", d.path));
    cr_expect_str_eq(pin, want);
    cr_expect_eq(tls_pin("no certificate", pin, &err), -EINVAL);
}

Test(tls_ca, certificates_are_good_only_for_what_they_say)
{
    TEMP_DIR(d);
    pki_make(&d);
    const char *text =
        say("openssl verify -CAfile %s/ca.crt -purpose sslclient %s/a.crt "
            "2>&1",
            d.path);
    cr_expect(strstr(text, ": OK"), "%s", text);
    text = say("openssl verify -CAfile %s/ca.crt -purpose sslserver %s/a.crt "
               "2>&1",
               d.path);
    cr_expect(strstr(text, "unsuitable certificate purpose"), "%s", text);
    text = say("openssl verify -CAfile %s/ca.crt -purpose sslserver "
               "-verify_hostname supercloud-controller %s/controller.crt 2>&1",
               d.path);
    cr_expect(strstr(text, ": OK"), "%s", text);
    text = say("openssl verify -CAfile %s/ca.crt -purpose sslserver "
               "-verify_hostname example.org %s/controller.crt 2>&1",
               d.path);
    cr_expect(strstr(text, "hostname mismatch"), "%s", text);
    char cn[TLS_NAME_MAX + 1], ou[TLS_NAME_MAX + 1];
    cr_assert_eq(tls_subject(in(&d, "a.crt"), cn, ou, NULL), 0);
    cr_expect_str_eq(cn, NODE_A);
    cr_expect_str_eq(ou, "node");
}

Test(tls_ca, the_subject_is_ours_whatever_the_request_says)
{
    TEMP_DIR(d);
    pki_make(&d);
    struct sc_err err;
    SC_AUTO(free) char *csr = NULL;
    SC_AUTO(free) char *pem = NULL;
    char cn[TLS_NAME_MAX + 1], ou[TLS_NAME_MAX + 1];
    cr_assert_eq(tls_request_create(in(&d, "evil.key"), "supercloud-controller",
                                    "controller", &csr, &err),
                 0);
    cr_assert_eq(tls_sign(in(&d, "ca.crt"), in(&d, "ca.key"), csr, NODE_A,
                          "node", NULL, 1, &pem, &err),
                 0, "%s", err.text);
    cr_assert_eq(tls_write_file(in(&d, "evil.crt"), pem, 0644, &err), 0);
    cr_assert_eq(tls_subject(in(&d, "evil.crt"), cn, ou, NULL), 0);
    cr_expect_str_eq(cn, NODE_A);
    cr_expect_str_eq(ou, "node");
}

static const struct {
    const char *name, *command;
} bad_requests[] = {
    { "RSA key", "openssl req -new -newkey rsa:2048 -nodes -keyout /dev/null "
                 "-subj /CN=x 2>/dev/null #%s%s" },
    { "another curve",
      "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:secp384r1 "
      "-nodes -keyout /dev/null -subj /CN=x 2>/dev/null #%s%s" },
    { "a changed byte",
      "openssl req -in %s/good.csr -outform der | "
      "sed 's/supercloud-controller/supercloud-contrOller/' | "
      "openssl req -inform der #%s" },
    { "no request", "echo hello #%s%s" },
    { "nothing", "true #%s%s" },
};

Test(tls_ca, bad_requests_are_not_signed, .timeout = 30)
{
    TEMP_DIR(d);
    pki_make(&d);
    struct sc_err err;
    SC_AUTO(free) char *csr = NULL;
    cr_assert_eq(tls_request_create(in(&d, "k"), "supercloud-controller", "ou",
                                    &csr, &err),
                 0);
    cr_assert_eq(tls_write_file(in(&d, "good.csr"), csr, 0644, &err), 0);
    for (size_t i = 0; i < SC_ARRAY_LEN(bad_requests); i++) {
        char *pem = NULL;
        cr_expect_eq(tls_sign(in(&d, "ca.crt"), in(&d, "ca.key"),
                              say(bad_requests[i].command, d.path), NODE_A,
                              "node", NULL, 1, &pem, &err),
                     -EINVAL, "case '%s'", bad_requests[i].name);
        cr_expect_null(pem);
    }
}

Test(tls_ca, server_names_cannot_add_extensions)
{
    TEMP_DIR(d);
    pki_make(&d);
    struct sc_err err;
    SC_AUTO(free) char *csr = NULL;
    char *pem = NULL;
    cr_assert_eq(tls_request_create(in(&d, "k"), "x", "y", &csr, &err), 0);
    static const char *const bad[] = { "a,DNS:b", "a b", "", "a:b", "email:x" };
    for (size_t i = 0; i < SC_ARRAY_LEN(bad); i++) {
        const char *names[] = { bad[i], NULL };
        cr_expect_eq(tls_sign(in(&d, "ca.crt"), in(&d, "ca.key"), csr, "x", "y",
                              names, 1, &pem, &err),
                     -EINVAL, "case '%s'", bad[i]);
    }
    const char *good[] = { "a.example", "10.0.0.1", "fe80::1", NULL };
    cr_expect_eq(tls_sign(in(&d, "ca.crt"), in(&d, "ca.key"), csr, "x", "y",
                          good, 1, &pem, &err),
                 0, "%s", err.text);
    free(pem);
}

Test(tls_ca, files_are_replaced_whole_with_their_mode)
{
    TEMP_DIR(d);
    struct sc_err err;
    cr_assert_eq(tls_write_file(in(&d, "f"), "one", 0640, &err), 0);
    cr_assert_eq(tls_write_file(in(&d, "f"), "two", 0600, &err), 0);
    cr_expect_eq(mode_of(in(&d, "f")), 0600);
    SC_AUTO(free) char *text = NULL;
    cr_assert_eq(tls_read_file(in(&d, "f"), &text, &err), 0);
    cr_expect_str_eq(text, "two");
    cr_expect_str_eq(say("ls %s #%s", d.path), "f\n");
    cr_expect_eq(tls_write_file(in(&d, "no/f"), "x", 0600, &err), -ENOENT);
    char *none = NULL;
    cr_expect_eq(tls_read_file(in(&d, "none"), &none, &err), -ENOENT);
}

Test(tls_ca, digests_and_randomness)
{
    char hex[65];
    tls_sha256_hex("abc", 3, hex); /* FIPS 180-4's example. */
    cr_expect_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223"
                          "b00361a396177a9cb410ff61f20015ad");
    uint8_t a[32] = { 0 }, b[32] = { 0 };
    cr_expect_eq(tls_random(a, sizeof a), 0);
    cr_expect_eq(tls_random(b, sizeof b), 0);
    cr_expect_neq(memcmp(a, b, sizeof a), 0);
}

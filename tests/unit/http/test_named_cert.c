#include "http/named_cert.h"

#include "../common/helper.h"

#include <openssl/x509.h>

static void install(const struct temp_dir *d, const char *name)
{
    char cert[64], key[64];
    snprintf(cert, sizeof cert, "%s.crt", name);
    snprintf(key, sizeof key, "%s.key", name);
    cr_assert_eq(rename(in(d, key), in(d, "console.key")), 0);
    cr_assert_eq(rename(in(d, cert), in(d, "console.crt")), 0);
}

static void make(const struct temp_dir *d, const char *name, const char *host)
{
    pki_issue(d, name, host, "controller", host);
}

/* The serial number that a client asking for 'name' sees; 0: the server's. */
static unsigned long serial(struct named_cert *n, const char *name,
                            uint64_t now_ms)
{
    SSL_CTX *ctx = named_cert_for(n, name, now_ms);
    if (!ctx)
        return 0;
    const ASN1_INTEGER *i =
        X509_get0_serialNumber(SSL_CTX_get0_certificate(ctx));
    unsigned long v = 1;
    for (int k = 0; k < ASN1_STRING_length(i); k++)
        v = v * 31 + ASN1_STRING_get0_data(i)[k];
    SSL_CTX_free(ctx);
    return v;
}

Test(named_cert, it_appears_changes_and_goes_without_a_restart)
{
    TEMP_DIR(d);
    struct sc_err err;
    cr_assert_eq(tls_ca_create(in(&d, "ca.crt"), in(&d, "ca.key"), "t", &err),
                 0);
    SC_AUTO(named_cert_free)
    struct named_cert *n =
        named_cert_new(in(&d, "console.crt"), in(&d, "console.key"));
    cr_assert(n);
    cr_expect_eq(serial(n, "cloud.example.org", 0), 0, "not there yet");
    make(&d, "one", "cloud.example.org");
    install(&d, "one");
    cr_expect_eq(serial(n, "cloud.example.org", 999), 0, "not looked at yet");
    unsigned long one = serial(n, "cloud.example.org", 1000);
    cr_expect_neq(one, 0);
    make(&d, "two", "cloud.example.org");
    install(&d, "two");
    unsigned long two = serial(n, "cloud.example.org", 2000);
    cr_expect(two != 0 && two != one, "the new one");
    cr_assert_eq(unlink(in(&d, "console.crt")), 0);
    cr_expect_eq(serial(n, "cloud.example.org", 3000), 0, "gone");
}

Test(named_cert, it_is_for_its_name_alone)
{
    TEMP_DIR(d);
    struct sc_err err;
    cr_assert_eq(tls_ca_create(in(&d, "ca.crt"), in(&d, "ca.key"), "t", &err),
                 0);
    make(&d, "one", "cloud.example.org");
    install(&d, "one");
    SC_AUTO(named_cert_free)
    struct named_cert *n =
        named_cert_new(in(&d, "console.crt"), in(&d, "console.key"));
    cr_expect_neq(serial(n, "CLOUD.example.org", 0), 0);
    cr_expect_eq(serial(n, "supercloud-controller", 0), 0);
    cr_expect_eq(serial(n, "other.example.org", 0), 0);
    cr_expect_eq(serial(n, NULL, 0), 0, "who asks for no name");
}

Test(named_cert, half_a_change_changes_nothing)
{
    TEMP_DIR(d);
    struct sc_err err;
    cr_assert_eq(tls_ca_create(in(&d, "ca.crt"), in(&d, "ca.key"), "t", &err),
                 0);
    make(&d, "one", "cloud.example.org");
    install(&d, "one");
    SC_AUTO(named_cert_free)
    struct named_cert *n =
        named_cert_new(in(&d, "console.crt"), in(&d, "console.key"));
    unsigned long one = serial(n, "cloud.example.org", 0);
    make(&d, "two", "cloud.example.org");
    cr_assert_eq(rename(in(&d, "two.key"), in(&d, "console.key")), 0);
    cr_expect_eq(serial(n, "cloud.example.org", 1000), one);
    cr_assert_eq(rename(in(&d, "two.crt"), in(&d, "console.crt")), 0);
    unsigned long two = serial(n, "cloud.example.org", 2000);
    cr_expect(two != 0 && two != one);
}

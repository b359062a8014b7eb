/* Signatures, against examples of the published test suite and of botocore. */
#include "provider/sigv4.h"

#include <criterion/criterion.h>

#define KEY "AKIDEXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

static const struct web_header one_header = { "My-Header1", "  a   b  c " };

static const struct {
    const char *name;
    struct sigv4 how;
    struct web_request q;
    const char *want; /* In the header's value. */
} cases[] = {
    { "get-vanilla",
      { KEY, SECRET, NULL, "service", "us-east-1", false },
      { .method = "GET", .url = "https://example.amazonaws.com/" },
      "SignedHeaders=host;x-amz-date, Signature="
      "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
    { "get-vanilla, no path in the URL",
      { KEY, SECRET, NULL, "service", "us-east-1", false },
      { .method = "GET", .url = "https://example.amazonaws.com" },
      "Signature="
      "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
    { "get-vanilla-query-order-key-case",
      { KEY, SECRET, NULL, "service", "us-east-1", false },
      { .method = "GET",
        .url = "https://example.amazonaws.com/?Param2=value2&Param1=value1" },
      "Signature="
      "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
    { "post-vanilla",
      { KEY, SECRET, NULL, "service", "us-east-1", false },
      { .method = "POST", .url = "https://example.amazonaws.com/" },
      "Signature="
      "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
    { "a header with spaces, a body, a token (by botocore)",
      { KEY, SECRET, "a/token", "ec2", "eu-west-1", false },
      { .method = "POST",
        .url = "https://127.0.0.1:8443/x/y",
        .headers = &one_header,
        .n_headers = 1,
        .body = "Action=A",
        .body_size = 8 },
      "20150830/eu-west-1/ec2/aws4_request, "
      "SignedHeaders=host;my-header1;x-amz-date;x-amz-security-token, "
      "Signature="
      "a0ccbd56ffa00d54ce9b39fc5f29c98e59dda13b8dd2642c7165075706c4d9d5" },
    { "a body that is not signed (by botocore)",
      { KEY, SECRET, NULL, "ebs", "eu-west-1", true },
      { .method = "PUT",
        .url = "https://ebs.eu-west-1.amazonaws.com/snapshots/a/blocks/1",
        .body = "x",
        .body_size = 1 },
      "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature="
      "99f221bfcf3ef2d349491c33eb417cbcaf0e5b9bc4f23031f5d604d9b21ece10" },
};

Test(sigv4, signatures_are_the_published_ones)
{
    const time_t at = 1440938160; /* 2015-08-30 12:36:00 */
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        struct web_header h[8];
        struct sc_err err = { 0 };
        int n = sigv4_sign(&cases[i].how, &cases[i].q, at, h, 8, &err);
        cr_assert(n >= 2, "case '%s': %s", cases[i].name, err.text);
        cr_expect_str_eq(h[n - 1].name, "Authorization");
        cr_expect(strstr(h[n - 1].value, cases[i].want), "case '%s': %s",
                  cases[i].name, h[n - 1].value);
        cr_expect_str_eq(h[0].value, "20150830T123600Z");
        for (int k = 0; k < n; k++)
            free((char *)h[k].value);
    }
}

Test(sigv4, what_cannot_be_signed_is_refused)
{
    struct web_header h[8];
    struct sc_err err = { 0 };
    struct web_request q = { .method = "GET", .url = "nonsense" };
    cr_expect_eq(sigv4_sign(&cases[0].how, &q, 0, h, 8, &err), -EINVAL);
    cr_expect_eq(sigv4_sign(&cases[0].how, &cases[0].q, 0, h, 1, &err),
                 -EINVAL);
}

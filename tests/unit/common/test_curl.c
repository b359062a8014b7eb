#include "common/curl.h"

#include "common/clean.h"

#include <criterion/criterion.h>
#include <string.h>

Test(curl, an_answer_is_kept_up_to_its_limit_and_ends_with_a_nul)
{
    SC_AUTO(free) char *body = NULL;
    size_t size = 0;
    cr_assert_eq(sc_curl_keep(&body, &size, 5, "abc", 3), 0);
    cr_expect_str_eq(body, "abc");
    cr_expect_eq(sc_curl_keep(&body, &size, 5, "def", 3), -EMSGSIZE);
    cr_expect_str_eq(body, "abc", "what there is stays");
    cr_assert_eq(sc_curl_keep(&body, &size, 5, "de", 2), 0);
    cr_expect_str_eq(body, "abcde");
    cr_expect_eq(size, 5);
    cr_expect_eq(sc_curl_keep(&body, &size, 5, "f", 1), -EMSGSIZE);
}

Test(curl, a_failure_is_the_hosts_the_times_the_certificates_or_the_lines)
{
    static const struct {
        CURLcode code;
        int want;
    } cases[] = {
        { CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH },
        { CURLE_COULDNT_CONNECT, -EHOSTUNREACH },
        { CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT },
        { CURLE_PEER_FAILED_VERIFICATION, -EACCES },
        { CURLE_SSL_CONNECT_ERROR, -ECONNRESET },
        { CURLE_PARTIAL_FILE, -ECONNRESET },
        { CURLE_WEIRD_SERVER_REPLY, -ECONNRESET },
        { CURLE_URL_MALFORMAT, -EINVAL },
        { CURLE_WRITE_ERROR, -EIO },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++)
        cr_expect_eq(sc_curl_errno(cases[i].code), cases[i].want, "%s",
                     curl_easy_strerror(cases[i].code));
}

Test(curl, a_request_speaks_the_given_protocols_alone)
{
    char error[CURL_ERROR_SIZE] = "of the last request";
    CURL *h = curl_easy_init();
    cr_assert(h);
    sc_curl_set_up(h, "https", error);
    cr_expect_str_eq(error, "");
    curl_easy_setopt(h, CURLOPT_URL, "file:///etc/hostname");
    cr_expect_eq(curl_easy_perform(h), CURLE_UNSUPPORTED_PROTOCOL);
    cr_expect_str_neq(error, "", "libcurl's words come there");
    curl_easy_cleanup(h);
}

/* p_azure_upload - see p_azure.h: a VHD into a managed disk.
 *
 * The disk hands out a signed URL (its own credential; it is never saved, a
 * later process asks for another), to which pages are written, at most 4 MiB
 * at a time.  A new disk is zero, so pieces of zeros are left out, but never
 * the one with the footer, by which Azure knows that the VHD is whole.  Every
 * piece goes with its MD5.  A URL that has expired is asked for again. */
#include "provider/p_azure.h"

#include "provider/image_file.h"

#include <strings.h>

enum { SECTOR = 512, MIB = 1 << 20, FOOTER_FIXED = 2, RENEWALS_MAX = 5 };

int azure_vhd_check(const struct image_file *f, struct sc_err *err)
{
    unsigned char b[SECTOR];
    uint64_t size = 0;
    uint32_t sum = 0;
    if (f->size < MIB + SECTOR || f->size % SECTOR)
        return sc_fail(err, -EINVAL,
                       "file '%s': no fixed VHD: too small, or not of whole "
                       "sectors",
                       f->path);
    int r = image_file_read(f, f->size - SECTOR, b, sizeof b, err);
    if (r < 0)
        return r;
    for (int i = 0; i < 8; i++)
        size = size << 8 | b[48 + i];
    for (int i = 0; i < SECTOR; i++)
        sum += i >= 64 && i < 68 ? 0 : b[i];
    sum = ~sum;
    bool sum_ok = b[64] == (uint8_t)(sum >> 24) &&
                  b[65] == (uint8_t)(sum >> 16) &&
                  b[66] == (uint8_t)(sum >> 8) && b[67] == (uint8_t)sum;
    if (memcmp(b, "conectix", 8) != 0 || b[63] != FOOTER_FIXED ||
        size + SECTOR != f->size || !sum_ok)
        return sc_fail(err, -EINVAL,
                       "file '%s': its last sector is not the footer of a "
                       "fixed VHD; Azure takes no other form",
                       f->path);
    if (size % MIB)
        return sc_fail(err, -EINVAL,
                       "file '%s': a disk of %llu bytes; Azure takes whole MiB",
                       f->path, (unsigned long long)size);
    return 0;
}

/* The signed URL; malloc'd. */
static int begin_access(struct p_azure *p, const char *disk, char **ret,
                        struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *output = NULL;
    int r = azure_do(p, "POST", AZURE_DISK, disk, "/beginGetAccess", "",
                     rest_json("{'access':'Write','durationInSeconds':86400}"),
                     false, &output, err);
    if (r < 0)
        return r;
    const char *url = rest_str(output, "accessSAS");
    if (!*url)
        url = rest_str(output, "properties.output.accessSAS");
    *ret = *url ? strdup(url) : NULL;
    if (!*url)
        return sc_fail(err, -EPROTO,
                       "azure: disk '%s': the answer has no accessSAS", disk);
    return *ret ? 0 : sc_fail(err, -ENOMEM, "azure: out of memory");
}

static int put_pages(struct p_azure *p, const char *sas, uint64_t at,
                     const void *buf, size_t size, struct sc_err *err)
{
    char range[64];
    uint8_t md5[16];
    SC_AUTO(free) char *url = NULL, *sum = NULL;
    if (image_file_md5(buf, size, md5) < 0 ||
        !(sum = json_b64_encode(md5, sizeof md5)) ||
        asprintf(&url, "%s%ccomp=page", sas, strchr(sas, '?') ? '&' : '?') < 0)
        return sc_fail(err, -ENOMEM, "azure: out of memory");
    snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)at,
             (unsigned long long)(at + size - 1));
    const struct web_header headers[] = {
        { "x-ms-version", "2019-12-12" },
        { "x-ms-page-write", "update" },
        { "x-ms-range", range },
        { "Content-MD5", sum },
    };
    struct rest_answer a = { 0 };
    int r = rest_do(&p->rest,
                    &(struct rest_request){ .method = "PUT",
                                            .url = url,
                                            .what = "upload",
                                            .raw = buf,
                                            .raw_size = size,
                                            .headers = headers,
                                            .n_headers = SC_ARRAY_LEN(headers),
                                            .timeout_ms = rest_piece_ms(size),
                                            .plain = true },
                    &a, err);
    rest_answer_clear(&a);
    return r;
}

int azure_upload(struct p_azure *p, const char *disk,
                 const struct image_file *f, uint64_t at, size_t piece,
                 void (*saved)(void *arg, uint64_t next), void *arg,
                 struct sc_err *err)
{
    SC_AUTO(free) char *buf = malloc(piece), *sas = NULL;
    if (!buf)
        return sc_fail(err, -ENOMEM, "azure: out of memory");
    int r = begin_access(p, disk, &sas, err);
    for (int renewals = 0; r == 0 && sas && at < f->size;) {
        size_t n = f->size - at < piece ? (size_t)(f->size - at) : piece;
        provider_progress(&p->up, "upload", at, f->size);
        if (provider_cancelled(&p->up))
            return sc_fail(err, -ECANCELED, "azure: upload: cancelled");
        r = image_file_read(f, at, buf, n, err);
        bool last = at + n == f->size;
        if (r == 0 && (last || !image_file_zero(buf, n))) {
            r = put_pages(p, sas, at, buf, n, err);
            if (r == -EACCES && renewals++ < RENEWALS_MAX) {
                free(SC_TAKE(sas));
                r = begin_access(p, disk, &sas, err);
                continue;
            }
        }
        if (r == 0) {
            at += n;
            saved(arg, at);
        }
    }
    if (r == 0) {
        provider_progress(&p->up, "upload", f->size, f->size);
        r = azure_do(p, "POST", AZURE_DISK, disk, "/endGetAccess", "", NULL,
                     false, NULL, err);
    }
    return r;
}

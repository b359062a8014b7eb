/* Fuzz target: what an NBD client sends (daemons/storage/nbd_proto.c). */
#include "storage/nbd_proto.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(const char *p, uint32_t len)
{
    volatile char sink = 0;
    for (uint32_t i = 0; i < len; i++)
        sink = (char)(sink ^ p[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nbd_request q;
    struct nbd_option o;
    struct nbd_info i;
    struct nbd_meta m;
    (void)nbd_request_decode(data, size, &q);
    if (nbd_option_decode(data, size, &o) == 0)
        touch((const char *)o.data, o.size);
    if (nbd_info_decode(data, size, &i) == 0)
        touch(i.name, i.name_len);
    for (int list = 0; list < 2; list++)
        if (nbd_meta_decode(data, size, list, &m) == 0)
            touch(m.name, m.name_len);
    return 0;
}

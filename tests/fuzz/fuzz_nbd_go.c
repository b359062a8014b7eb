/* What an NBD server answers to NBD_OPT_GO: four bytes of type, then data. */
#include "hypervisor/nbd_kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nbd_export e = { 0 };
    struct sc_err err = { 0 };
    bool has = false;
    uint32_t type;
    if (size < 4)
        return 0;
    memcpy(&type, data, 4);
    (void)nbd_go_reply(type, data + 4, (uint32_t)size - 4, &e, &has, &err);
    return 0;
}

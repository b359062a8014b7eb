/* The emulated WAN's frame classifier reads whatever a machine sends. */
#include "wan/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return link_classify(data, size) < LINK_N_CLASSES ? 0 : -1;
}

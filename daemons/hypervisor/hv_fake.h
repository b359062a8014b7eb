/* hv_fake - knobs of the driver without guests, for tests and simulations.
 *
 * A "guest" is a file <run_dir>/vm/<id>/fake with its state, so it outlives
 * this process as a real one would, and a new hv adopts it.  Its migration
 * writes a stream of HV_FAKE_BYTES_PER_MIB bytes per MiB of memory. */
#ifndef SC_HV_FAKE_H
#define SC_HV_FAKE_H

#include "hypervisor/hypervisor.h"

enum { HV_FAKE_BYTES_PER_MIB = 4096 };

/* The guest dies with 'why' (0: it powered off). */
void hv_fake_end(struct hv *hv, const char *vm_id, int why);
/* Memory the modelled machine has; default 4096 MiB. */
void hv_fake_set_memory(struct hv *hv, uint64_t mib);
/* The next hv_start, hv_resume or hv_migrate_in fails with 'code' later. */
void hv_fake_fail_next(struct hv *hv, int code);

#endif

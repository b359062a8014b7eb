/* hypervisor-class - what a driver of hypervisor.h must give.
 *
 * Callers see only hypervisor.h, whose contracts the members inherit.  A
 * driver embeds 'struct hv' first and leaves out what it cannot do (NULL:
 * -ENOTSUP).  hypervisor.c checks arguments (ids, counts, names) before a
 * member is called.  Drivers must keep the rule "never from inside the call":
 * hv_later does that for outcomes known at once. */
#ifndef SC_HYPERVISOR_CLASS_H
#define SC_HYPERVISOR_CLASS_H

#include "hypervisor/hypervisor.h"

struct hv_class {
    const char *name; /* As in the configuration. */
    int (*open)(const struct hv_options *o, struct hv **ret,
                struct sc_err *err);
    void (*close)(struct hv *hv);
    int (*cpuid_faulting)(bool *ret, struct sc_err *err);
    int (*host_info)(struct hv *hv, struct hv_host *ret, struct sc_err *err);
    int (*state_of)(struct hv *hv, const char *vm_id, enum hv_state *ret);
    int (*start)(struct hv *hv, const struct hv_spec *spec, hv_done_fn *done,
                 void *arg, struct sc_err *err);
    int (*stop)(struct hv *hv, const char *vm_id, uint32_t grace_ms,
                hv_done_fn *done, void *arg, struct sc_err *err);
    int (*pause)(struct hv *hv, const char *vm_id, hv_done_fn *done, void *arg,
                 struct sc_err *err);
    int (*resume)(struct hv *hv, const char *vm_id, hv_done_fn *done, void *arg,
                  struct sc_err *err);
    int (*migrate_out)(struct hv *hv, const char *vm_id, int fd,
                       uint32_t max_downtime_ms,
                       const struct hv_out_events *events, void *arg,
                       struct sc_err *err);
    int (*migrate_abort)(struct hv *hv, const char *vm_id, struct sc_err *err);
    int (*migrate_in)(struct hv *hv, const struct hv_spec *spec, int fd,
                      hv_done_fn *done, void *arg, struct sc_err *err);
};

struct hv {
    const struct hv_class *class;
    struct hv_options o; /* Strings owned by the base. */
    char *run_dir;       /* Owned; o.run_dir points here. */
};

extern const struct hv_class hv_fake_class, hv_qemu_class, hv_xen_class;

/* Fills the base of a driver's object.  0 or -ENOMEM. */
int hv_init(struct hv *hv, const struct hv_class *class,
            const struct hv_options *o) SC_MUST_CHECK;
void hv_fini(struct hv *hv);

/* A deep copy of a spec, in one allocation freed with free(). */
struct hv_spec *hv_spec_dup(const struct hv_spec *spec);
/* Memory of the machine in MiB from /proc/meminfo ("MemTotal",
 * "MemAvailable"); 0: not there. */
uint64_t hv_meminfo_mib(const char *key);

#endif

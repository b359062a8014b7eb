/* probes_decide - see probes_decide.h. */
#include "node/probes_decide.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    CLOCK_BAD_US = 100000,
    FLUSH_BAD_US = 50000,
    DISK_BAD_MIB_S = 20,
};

static void say(char *to, size_t size, const char *fmt, ...) SC_PRINTF(3, 4);
static void say(char *to, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(to, size, fmt, ap);
    va_end(ap);
}
#define VALUE(ret, ...) say((ret)->value, sizeof(ret)->value, __VA_ARGS__)
#define WHY(ret, ...) say((ret)->why, sizeof(ret)->why, __VA_ARGS__)

cJSON *probe_result_json(const char *name, const struct probe_result *r)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", name);
    cJSON_AddBoolToObject(o, "ok", r->ok);
    cJSON_AddStringToObject(o, "value", r->value);
    cJSON_AddStringToObject(o, "why", r->why);
    return o;
}

void probe_decide_cpuid(bool xen, int r, bool faults, const char *why,
                        struct probe_result *ret)
{
    *ret = (struct probe_result){ .ok = true };
    if (r < 0) {
        ret->ok = !xen;
        VALUE(ret, "not known (%.150s)", why);
    } else {
        VALUE(ret, "CPUID %s",
              faults ? "can be made to fault" : "cannot be made to fault");
        ret->ok = faults || !xen;
    }
    if (!ret->ok)
        WHY(ret, "features cannot be hidden from the programs of guests: those "
                 "that look for themselves may break when they move to an "
                 "older processor; keep such nodes to one kind of machine");
    else if (!faults && !xen && r == 0)
        VALUE(ret, "CPUID cannot be made to fault; QEMU's guests do not need "
                   "it");
}

void probe_decide_kvm(bool xen, enum kvm_stage stage, int code, bool flag,
                      struct probe_result *ret)
{
    static const char *const stages[] = {
        [KVM_STAGE_ABSENT] = "/dev/kvm cannot be opened",
        [KVM_STAGE_OPEN] = "/dev/kvm makes no VM",
        [KVM_STAGE_VM] = "/dev/kvm makes no processor",
        [KVM_STAGE_CPU] = "a processor of KVM's does not run",
        [KVM_STAGE_RAN] = "runs an instruction",
    };
    *ret = (struct probe_result){ .ok = stage == KVM_STAGE_RAN && flag };
    if (ret->ok)
        VALUE(ret, "%s", stages[stage]);
    else if (stage == KVM_STAGE_RAN)
        VALUE(ret,
              "%s, but the processor has neither vmx nor svm: this is "
              "not hardware's KVM",
              stages[stage]);
    else
        VALUE(ret, "%s%s%s%s", stages[stage], code ? ": " : "",
              code ? strerror(-code) : "",
              flag ? "" : "; the processor has neither vmx nor svm");
    if (ret->ok || !xen) {
        if (!ret->ok)
            WHY(ret, "guests are emulated, many times slower: launch the node "
                     "on a type with nested virtualisation, and switch that on "
                     "where the provider has a switch");
        return;
    }
    ret->ok = true; /* PV guests need nothing of the kind. */
    size_t len = strlen(ret->value);
    say(ret->value + len, sizeof ret->value - len, "; not needed under Xen");
}

/* --- clock ---------------------------------------------------------------- */

bool probe_parse_tracking(const char *line, struct clock_facts *ret)
{
    /* Reference id, name, stratum, time of last update, error (s), ... */
    char name[64] = "";
    double error;
    if (sscanf(line, "%*[^,],%63[^,],%*d,%*f,%lf", name, &error) != 2 ||
        !isfinite(error))
        return false;
    ret->chrony = true;
    ret->chrony_s = error;
    memcpy(ret->chrony_source, name, sizeof name);
    return true;
}

void probe_decide_clock(const struct clock_facts *c, struct probe_result *ret)
{
    int64_t off = c->offset_us < 0 ? -c->offset_us : c->offset_us;
    int64_t least = off - (int64_t)(c->round_trip_us / 2);
    char chrony[128] = "";
    *ret = (struct probe_result){ .ok = true };
    if (c->chrony)
        snprintf(chrony, sizeof chrony, "chrony: %.3f ms from %s",
                 c->chrony_s * 1e3, c->chrony_source);
    if (c->heard)
        VALUE(ret, "%.1f ms %s the controller's, give or take %.1f ms%s%s",
              (double)off / 1e3, c->offset_us < 0 ? "ahead of" : "behind",
              (double)c->round_trip_us / 2e3, *chrony ? "; " : "", chrony);
    else
        VALUE(ret, "%s", *chrony ? chrony : "not known");
    if (c->heard && least > CLOCK_BAD_US) {
        ret->ok = false;
        WHY(ret, "guests and logs have another time here than elsewhere, and "
                 "certificates may not be valid: see 'chronyc sources' on the "
                 "node, and that it reaches the controller's port 123/udp");
    }
}

/* --- disk, network -------------------------------------------------------- */

void probe_decide_disk(const struct disk_facts *d, struct probe_result *ret)
{
    *ret = (struct probe_result){ .ok = true };
    if (d->code < 0) {
        ret->ok = false;
        VALUE(ret, "%s: %s", d->what, strerror(-d->code));
        WHY(ret, "guests' disks are kept there: make room, or look at the "
                 "kernel's log");
        return;
    }
    double mib_s =
        d->us ? (double)d->bytes / 1048576.0 / ((double)d->us / 1e6) : 0;
    VALUE(ret, "writes %.0f MiB/s (%.0f MiB), a flush takes %.1f ms (%u)",
          mib_s, (double)d->bytes / 1048576.0, (double)d->flush_us / 1e3,
          d->n_flushes);
    ret->ok = mib_s >= DISK_BAD_MIB_S && d->flush_us <= FLUSH_BAD_US;
    if (!ret->ok)
        WHY(ret, "guests' disks are slow here: take a faster kind of volume, "
                 "or a larger one where speed goes by size");
}

static bool is_emulated(const char *driver)
{
    static const char *const slow[] = { "e1000",   "e1000e",  "8139cp",
                                        "8139too", "pcnet32", "ne2k-pci",
                                        "tulip" };
    for (size_t i = 0; i < SC_ARRAY_LEN(slow); i++)
        if (!strcmp(driver, slow[i]))
            return true;
    return false;
}

void probe_decide_nic(const char *ifname, const char *driver, long speed_mbit,
                      long mtu, struct probe_result *ret)
{
    char speed[48] = "";
    *ret = (struct probe_result){ .ok = *ifname };
    if (!*ifname) {
        VALUE(ret, "no interface has the way to the controller");
        WHY(ret, "other nodes may not reach this one: look at 'ip route'");
        return;
    }
    if (speed_mbit > 0)
        snprintf(speed, sizeof speed, ", %ld Mbit/s", speed_mbit);
    VALUE(ret, "%s: %s%s, MTU %ld", ifname, *driver ? driver : "virtual", speed,
          mtu);
    if (is_emulated(driver)) {
        ret->ok = false;
        WHY(ret, "an emulated network card, slow and dear in processor time: "
                 "launch the node on a type with the provider's own (ENA, "
                 "gVNIC, virtio)");
    }
}

void probe_decide_mtu(const struct mtu_facts *m, struct probe_result *ret)
{
    *ret = (struct probe_result){ .ok = true };
    if (m->n_peers == 0) {
        VALUE(ret, "there is no other node yet");
        return;
    }
    if (m->n_answered == 0) {
        ret->ok = false;
        VALUE(ret, "none of %u nodes answers", m->n_peers);
        WHY(ret, "port 7481/udp between the nodes must be open, and 7480, 7482 "
                 "and 4789/udp too");
        return;
    }
    VALUE(ret, "packets of %u bytes reach %s%s", m->least, m->to,
          m->n_answered > 1 ? " (the least of those asked)" : "");
    if (m->least < PROBE_MTU_NEEDED) {
        ret->ok = false;
        WHY(ret,
            "the overlay needs %d: large packets of guests are lost, "
            "while small ones arrive.  Raise the MTU on the way, or make "
            "networks with a smaller one (mtu %u)",
            PROBE_MTU_NEEDED, m->least - 50);
    }
}

/* hv_xen_cpu - what Xen can do with this machine's CPUID (hypervisor.h).
 *
 * Its own handle, not libxl's: it is asked in a process of its own. */
#include "hypervisor/hv_xen.h"

#include <xenctrl.h>
#include <xenguest.h>

int hv_xen_cpuid_faulting(bool *ret, struct sc_err *err)
{
    uint32_t caps = 0;
    xc_interface *xc = xc_interface_open(NULL, NULL, 0);
    if (!xc)
        return sc_fail(err, -errno, "xen: xc_interface_open: %s",
                       strerror(errno));
    int r = xc_get_cpu_levelling_caps(xc, &caps) < 0 ? -errno : 0;
    xc_interface_close(xc);
    if (r < 0)
        return sc_fail(err, r, "xen: get_cpu_levelling_caps: %s", strerror(-r));
    *ret = caps & XEN_SYSCTL_CPU_LEVELCAP_faulting;
    return 0;
}

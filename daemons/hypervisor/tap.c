/* tap - see tap.h; ioctls of Documentation/networking/tuntap.rst.  No address
 * is ever put on it, and IPv6 is switched off on it, so that the host does not
 * speak on the guest's network. */
#include "hypervisor/tap.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static void quiet(const char *ifname)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6",
             ifname);
    SC_AUTO(close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "1", 1) < 0)
        return; /* A kernel without IPv6 settings has nothing to quieten. */
}

int tap_open(const char *ifname, unsigned mtu, bool vnet_hdr, int *ret_fd,
             struct sc_err *err)
{
    struct ifreq r = { 0 };
    SC_AUTO(close) int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    SC_AUTO(close) int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || s < 0)
        return sc_fail(err, -errno, "/dev/net/tun: %s", strerror(errno));
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", ifname);
    r.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL);
    if (vnet_hdr)
        r.ifr_flags = (short)(r.ifr_flags | IFF_VNET_HDR);
    if (ioctl(fd, TUNSETIFF, &r) < 0)
        return sc_fail(err, -errno, "interface '%s': %s", ifname,
                       strerror(errno));
    quiet(ifname);
    if (mtu) {
        r.ifr_mtu = (int)mtu;
        if (ioctl(s, SIOCSIFMTU, &r) < 0)
            return sc_fail(err, -errno, "interface '%s': mtu %u: %s", ifname,
                           mtu, strerror(errno));
    }
    if (ioctl(s, SIOCGIFFLAGS, &r) == 0) {
        r.ifr_flags |= IFF_UP;
        if (ioctl(s, SIOCSIFFLAGS, &r) == 0) {
            *ret_fd = SC_TAKE_FD(fd);
            return 0;
        }
    }
    return sc_fail(err, -errno, "interface '%s': up: %s", ifname,
                   strerror(errno));
}

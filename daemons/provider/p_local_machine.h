/* p_local_machine - the QEMU machine of one instance, with the hardware of the
 * provider that it is to be like.
 *
 * Used by p_local alone.  Blocks: runs programs.  A machine like none ("") has
 * virtio, a NoCloud seed, eth0 on QEMU's closed user network (host forwards)
 * and eth1 on the WAN.  A machine like another provider's has that provider's
 * disk controller, network card and SMBIOS texts, and one card that hangs on
 * 'emulator' (tests/lib/metadata/emulator): it plays the provider's DHCP,
 * metadata service and disc, passes the rest on to the WAN, and listens on the
 * forwarded ports.  What QEMU cannot be like: ENA, gVNIC, and Azure's VMBus.
 * Ownership: all strings of 'struct local_machine' are borrowed. */
#ifndef SC_PROVIDER_P_LOCAL_MACHINE_H
#define SC_PROVIDER_P_LOCAL_MACHINE_H

#include "provider/provider.h"

struct local_hardware;
/* NULL: unknown; "" is the machine that is like none. */
const struct local_hardware *local_hardware_find(const char *like);
/* "ec2, gce, ...", for messages. */
const char *local_hardware_names(void);
bool local_has_kvm(void);

struct local_machine {
    const char *folder; /* The instance's; programs run in it. */
    const struct provider_launch *launch;
    const char *region;
    const struct local_hardware *hardware;
    const char *firmware; /* UEFI code file; NULL: BIOS. */
    const char *emulator; /* NULL for hardware like none. */
    const char *address;  /* "10.200.0.1/24"; "": none said. */
    bool wan;             /* The instance has a place on the WAN. */
    unsigned memory_mib, vcpus;
};

/* The format that QEMU calls the image file's, by its name's end. */
const char *local_image_format(const char *path);
/* Makes what the machine reads at its first boot, starts the emulator if there
 * is one, then QEMU.  disk.qcow2 is there already.  On failure an emulator may
 * run: its metadata.pid is in the folder. */
int local_machine_start(const struct local_machine *m,
                        struct sc_err *err) SC_MUST_CHECK;

#endif

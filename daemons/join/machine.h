/* machine - what sc-join finds out about this machine by itself.
 * Reads /proc and asks the kernel for routes; sends no packet. */
#ifndef SC_JOIN_MACHINE_H
#define SC_JOIN_MACHINE_H

#include "join/fail.h"

#include <netinet/in.h>
#include <stdint.h>

/* "xen" if 'capabilities' (/proc/xen/capabilities) says we are dom0, else
 * "qemu" if QEMU is in the search path; NULL: neither. */
const char *machine_hypervisor(const char *capabilities);
/* The address from which packets to 'host' leave; 'host' NULL: to the
 * internet.  -EHOSTUNREACH: there is no route. */
int machine_address(const char *host, uint16_t port,
                    char ret[INET6_ADDRSTRLEN]) SC_MUST_CHECK;
/* The host name's first label, made fit for a node's name. */
void machine_name(char ret[64]);
/* "My_Host.example" -> "My_Host"; pure; "node" if nothing is left. */
void machine_name_from(const char *host_name, char ret[64]);

#endif

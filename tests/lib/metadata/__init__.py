"""metadata - what an instance sees of its provider, emulated: metadata service,
provisioning disc, DHCP, name service.

Faithful in protocol, not in content: ids and names are made up from the
instance's own.  Used by tests, and by sc-provider's driver 'local', whose
machines can be like another provider's (emulator, beside this file).

  instance.py   what is told about an instance
  web.py        HTTP, one service on one address
  ec2.py gce.py azure.py openstack.py   the services
  disc.py       Azure's provisioning CD, OpenStack's config drive
  dhcp.py net.py   the wire between the machine, its provider and the WAN

In a test, without any machine:

    i = metadata.Instance({"like": "ec2", "name": "a", "region": "us-east-1"})
    s = metadata.service(i)
    server = metadata.serve(s, "127.0.0.1", 0)     # server.port
    s.notice({"kind": "spot", "action": "terminate", "in_s": 120})
"""
from .instance import Instance                           # noqa: F401
from .web import serve                                   # noqa: F401
from . import azure, ec2, gce, openstack

LIKE = {"ec2": ec2.Ec2, "gce": gce.Gce, "azure": azure.Imds,
        "rackspace": openstack.OpenStack, "rackspace-classic": None}


def service(instance):
    """The metadata service of 'instance'; None: the provider has none."""
    make = LIKE[instance.like]
    return make(instance) if make else None


def services(instance):
    """[(address, port, service)] of all that the provider answers to."""
    found = []
    s = service(instance)
    if s:
        found.append(("169.254.169.254", 80, s))
    if instance.like == "azure":
        found.append((azure.WIRE_SERVER, 80, azure.WireServer(instance)))
    return found

"""Ports for the programs a test starts.

They lie below the range from which the kernel takes the port of an outgoing
connection: a port of that range, seen free and closed again, can be some
client's a moment later, and the program told to listen there finds it in use.
"""
import random
import socket

_given = set()


def _lowest_of_clients():
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        return int(f.read().split()[0])


def _is_free(port):
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        with socket.socket(socket.AF_INET, kind) as s:
            # As the daemons bind: not stopped by connections that have ended.
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
            try:
                s.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True


def free_port():
    """A port that is free for TCP and UDP, each time another one."""
    below = _lowest_of_clients()
    for _ in range(1000):
        port = random.randrange(10000, below)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise OSError("no free port in 10000-%d; 'ss -lntu' shows who listens" % (below - 1))


def free_ports(n):
    return [free_port() for _ in range(n)]

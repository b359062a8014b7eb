"""net - one machine's network at its emulated provider.

Stands between the machine's only network card and the emulated WAN.  Frames
come and go by Unix datagram sockets, one frame a datagram (QEMU's "-netdev
dgram", sc-wan).  Frames to the provider's own addresses (its router, metadata,
name service) go to a TAP in a network namespace of this process, where the
kernel does TCP and the services listen; DHCP is answered here; everything else
goes to the WAN.  There is no way from the namespace to the outside.

The namespace needs root, or a user namespace, which is made if this is not root.
Threads: one for each direction, blocking; a receiver that is full holds its
sender back.
"""
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import threading

from . import dhcp

NEWUSER, NEWNET = 0x10000000, 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454ca, 2, 0x1000
FRAME_MAX = 65536
TAP = "provider0"


def enter():
    """Puts this process (one thread, no threads yet) into a namespace of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    root = os.geteuid() == 0
    if libc.unshare(NEWNET if root else NEWNET | NEWUSER) < 0:
        e = ctypes.get_errno()
        raise OSError(e, "a network namespace: %s%s" % (os.strerror(e), "" if root else
                      "; run as root, or allow user namespaces (sysctl kernel."
                      "unprivileged_userns_clone=1)"))
    if not root:
        for name, text in (("setgroups", "deny"), ("uid_map", "0 %d 1" % uid),
                           ("gid_map", "0 %d 1" % gid)):
            with open("/proc/self/" + name, "w") as f:
                f.write(text)
    for path, text in (("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"),
                       ("/proc/sys/net/unix/max_dgram_qlen", "512")):
        try:                            # Both are for speed and quiet alone.
            with open(path, "w") as f:
                f.write(text)
        except OSError:
            pass


def open_tap(name, mac=None):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    if mac:
        ip("link", "set", name, "address", mac)
    ip("link", "set", name, "up")
    return fd


def ip(*args):
    p = subprocess.run(["ip", *[str(a) for a in args]], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    if p.returncode:
        raise OSError("ip %s: %s" % (" ".join(str(a) for a in args), p.stdout.strip()))


def bind_unix(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    s.bind(path)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    # A receiver that stays full for so long has stopped: the frame is lost.
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 2, 0))
    return s


def send(s, frame, path):
    try:
        s.sendto(frame, path)
        return True
    except OSError:                     # Not there (yet), or full.
        return False


def pump_tap(fd, s, path):
    """TAP <-> datagram sockets, both directions, for ever: how a namespace of a
    test is plugged where a machine would be, or into the WAN."""
    def out():
        while True:
            send(s, os.read(fd, FRAME_MAX), path)
    threading.Thread(target=out, daemon=True).start()
    while True:
        frame = s.recv(FRAME_MAX)
        try:
            os.write(fd, frame)
        except OSError:
            pass


class Network:
    """'vm_local', 'vm_remote': our end and the machine's; 'wan_local', 'wan_remote':
    ours and sc-wan's ("": no WAN).  Made inside the namespace (enter())."""

    def __init__(self, instance, addresses, vm_local, vm_remote, wan_local="", wan_remote=""):
        self.instance = instance
        self.vm_path, self.wan_path = vm_remote, wan_remote
        self.mac = "02:" + ":".join(instance.hexa("router", 10)[i:i + 2] for i in range(0, 10, 2))
        self.raw_mac = bytes.fromhex(self.mac.replace(":", ""))
        self.own = {dhcp.ip4(a) for a in addresses} | {dhcp.ip4(instance.gateway)}
        self.lease = {"mac": self.mac, "address": instance.address,
                      "options": dhcp.options_of(instance)}
        self.leases = 0                 # How often DHCP gave the address.
        self.tap = open_tap(TAP, self.mac)
        ip("link", "set", "lo", "up")
        ip("addr", "add", "%s/%d" % (instance.gateway, instance.network.prefixlen), "dev", TAP)
        for a in addresses:
            ip("addr", "add", a + "/32", "dev", TAP)
        self.vm = bind_unix(vm_local)
        self.wan = bind_unix(wan_local) if wan_local else None
        self._names()

    def start(self):
        jobs = [self._from_vm, self._from_tap] + ([self._from_wan] if self.wan else [])
        for j in jobs:
            threading.Thread(target=j, daemon=True).start()

    def _from_vm(self):
        recv, tap, raw_mac, own = self.vm.recv, self.tap, self.raw_mac, self.own
        while True:
            frame = recv(FRAME_MAX)
            to = frame[:6]
            if to == raw_mac or frame[12:14] == b"\x08\x06" and frame[38:42] in own:
                if not self._dhcp(frame):
                    try:
                        os.write(tap, frame)
                    except OSError:
                        pass
            elif not (to == b"\xff" * 6 and self._dhcp(frame)) and self.wan:
                send(self.wan, frame, self.wan_path)

    def _dhcp(self, frame):
        if not dhcp.is_request(frame):
            return False
        answer = dhcp.reply(frame, self.lease)
        if answer:
            self.leases += 1
            send(self.vm, answer, self.vm_path)
        return True

    def _from_tap(self):
        while True:
            send(self.vm, os.read(self.tap, FRAME_MAX), self.vm_path)

    def _from_wan(self):
        while True:
            frame = self.wan.recv(FRAME_MAX)
            # Another provider's router and servers are not ours to hear of.
            if not (frame[12:14] == b"\x08\x06" and frame[28:32] in self.own):
                send(self.vm, frame, self.vm_path)

    # --- names -----------------------------------------------------------
    def _names(self):
        i = self.instance
        self.hosts = {}
        if i.like == "gce":
            for n in ("metadata", "metadata.google.internal"):
                self.hosts[n] = "169.254.169.254"
        for code in (12,):
            name = self.lease["options"].get(code)
            if name:
                domain = self.lease["options"].get(15, b"").decode()
                short = name.decode()
                self.hosts[short] = self.hosts[short.split(".")[0] + "." + domain] = i.address
        server = self.lease["options"][6]
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((socket.inet_ntoa(server), 53))
        threading.Thread(target=self._serve_names, args=(s,), daemon=True).start()

    def _serve_names(self, s):
        while True:
            q, who = s.recvfrom(1500)
            a = dns_reply(q, self.hosts)
            if a:
                s.sendto(a, who)


def dns_reply(q, hosts):
    """The answer to a question for one name, out of 'hosts' {name: address}; names
    that are not in it do not exist.  Source: RFC 1035."""
    if len(q) < 17 or q[2] & 0x80 or q[4:6] != b"\0\1":
        return None
    labels, p = [], 12
    while p < len(q) and q[p]:
        labels.append(q[p + 1:p + 1 + q[p]].decode("ascii", "replace").lower())
        p += 1 + q[p]
    question = q[12:p + 5]
    if len(question) != p - 12 + 5:
        return None
    address = hosts.get(".".join(labels))
    records = b""
    if address and question[-4:] == b"\0\1\0\1":
        records = b"\xc0\x0c\0\1\0\1" + struct.pack(">IH", 60, 4) + dhcp.ip4(address)
    code = 0 if address else 3
    return (q[:2] + bytes([0x84 | (q[2] & 1), 0x80 | code]) + b"\0\1"
            + (b"\0\1" if records else b"\0\0") + b"\0" * 4 + question + records)

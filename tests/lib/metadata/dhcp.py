"""dhcp - the provider's DHCP server, on Ethernet frames, for one machine.

reply(frame, lease) gives the frame to send back, or None if 'frame' is no
request for us.  'lease' is {"mac", "address", "options": {code: bytes}}, where
"mac" is the server's.  Pure.  Source: RFC 2131, RFC 2132.
"""
import ipaddress
import struct

MAGIC = b"\x63\x82\x53\x63"
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
LEASE_S = 3600


def ip4(text):
    return ipaddress.ip_address(text).packed


def options_of(instance):
    """What the provider tells its machines, by option code."""
    i = instance
    o = {1: i.network.netmask.packed, 3: ip4(i.gateway), 28: i.network.broadcast_address.packed,
         51: struct.pack(">I", LEASE_S), 54: ip4(i.gateway), 6: ip4(i.gateway)}
    if i.like == "ec2":
        o[15] = ("%s.compute.internal" % i.region).encode()
        o[12] = ("ip-" + i.address.replace(".", "-")).encode()
        o[26] = struct.pack(">H", 9001)
    elif i.like == "gce":
        o[6] = o[54] = ip4("169.254.169.254")
        o[15] = ("%s-a.c.supercloud-emulated.internal" % i.region).encode()
        o[12] = ("%s.%s" % (i.name, o[15].decode())).encode()
        o[26] = struct.pack(">H", 1460)
    elif i.like == "azure":
        o[6] = o[54] = ip4("168.63.129.16")
        o[245] = ip4("168.63.129.16")
        # All of its networks, and its two services, through the gateway.
        o[121] = b"".join(struct.pack("B", n) + ip4(a)[:(n + 7) // 8] + ip4(i.gateway)
                          for n, a in ((0, "0.0.0.0"), (32, "168.63.129.16"),
                                       (32, "169.254.169.254")))
    return o


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    n = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff


def is_request(frame):
    """True for a frame to a DHCP server."""
    return (len(frame) > 42 and frame[12:14] == b"\x08\x00" and frame[23] == 17
            and struct.unpack_from(">H", frame, 14 + (frame[14] & 15) * 4 + 2)[0] == 67)


def parse(frame):
    """(xid, flags, ciaddr, client's MAC, {code: bytes}) or None."""
    at = 14 + (frame[14] & 15) * 4 + 8
    b = frame[at:]
    if len(b) < 240 or b[0] != 1 or b[236:240] != MAGIC:
        return None
    opts, p = {}, 240
    while p < len(b) and b[p] != 255:
        if b[p] == 0:
            p += 1
            continue
        if p + 2 > len(b) or p + 2 + b[p + 1] > len(b):
            return None
        opts[b[p]] = opts.get(b[p], b"") + b[p + 2:p + 2 + b[p + 1]]
        p += 2 + b[p + 1]
    return b[4:8], b[10:12], b[12:16], b[28:34], opts


def reply(frame, lease):
    q = parse(frame)
    if not q or not q[4].get(53):
        return None
    xid, flags, ciaddr, mac, opts = q
    server, address = lease["options"][54], ip4(lease["address"])
    if opts.get(54, server) != server:
        return None                                     # Meant for another server.
    kind = opts[53][0]
    if kind == DISCOVER:
        answer = OFFER
    elif kind == REQUEST:
        wanted = opts.get(50, ciaddr)
        answer = ACK if wanted == address else NAK
    elif kind == INFORM:
        answer = ACK
    else:
        return None
    out = {53: bytes([answer]), 54: server}
    yiaddr = b"\0\0\0\0"
    if answer != NAK:
        wanted = opts.get(55, b"")
        always = (1, 3, 6, 28, 51)
        out.update({k: v for k, v in lease["options"].items()
                    if k in always or k in wanted or k == 245})
        if kind == INFORM:
            out.pop(51, None)
        else:
            yiaddr = address
    body = (b"\x02\x01\x06\0" + xid + b"\0\0" + flags + (ciaddr if kind == INFORM else b"\0" * 4)
            + yiaddr + server + b"\0" * 4 + mac.ljust(16, b"\0") + b"\0" * 192 + MAGIC)
    for code, value in out.items():
        body += bytes([code, len(value)]) + value
    body = (body + b"\xff").ljust(300, b"\0")
    # A client without an address cannot be asked by ARP: straight to its MAC.
    to_ip = b"\xff" * 4 if answer == NAK or flags[0] & 0x80 else \
        (ciaddr if ciaddr != b"\0\0\0\0" else address)
    to_mac = b"\xff" * 6 if to_ip == b"\xff" * 4 else mac
    udp = struct.pack(">HHHH", 67, 68, 8 + len(body), 0)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(body), 0, 0, 64, 17, 0, server, to_ip)
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    return to_mac + bytes.fromhex(lease["mac"].replace(":", "")) + b"\x08\x00" + ip + udp + body

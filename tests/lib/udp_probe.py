#!/usr/bin/python3
"""udp_probe - how long a path is interrupted, by numbered packets.

usage: udp_probe.py server PORT
       udp_probe.py client IP PORT INTERVAL_MS SECONDS

The server answers each packet.  The client prints {"sent", "received",
"gaps": [[FROM, TO], ...]}: the times between two answers that were longer than
10 ms, in seconds of CLOCK_MONOTONIC, which all namespaces share.
"""
import json
import select
import socket
import struct
import sys
import time


def server(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", port))
    while True:
        data, peer = s.recvfrom(2048)
        try:
            s.sendto(data, peer)
        except OSError:
            pass  # No carrier just now.


def client(ip, port, interval, seconds):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((ip, port))
    s.setblocking(False)
    start = now = time.monotonic()
    sent = received = 0
    last, gaps = None, []
    while now < start + seconds + 0.3:
        due = start + sent * interval
        if now < start + seconds and now >= due:
            try:
                s.send(struct.pack("!Q", sent))
            except OSError:
                pass
            sent += 1
            due = start + sent * interval
        wait = max(0.0, due - now) if now < start + seconds else 0.05
        if select.select([s], [], [], wait)[0]:
            try:
                s.recv(2048)
            except OSError:
                continue
            received += 1
            now = time.monotonic()
            if last is not None and now - last > 0.010:
                gaps.append([last, now])
            last = now
        now = time.monotonic()
    if last is None or now - last > 0.5:
        gaps.append([last or start, now])  # Nothing more came.
    print(json.dumps({"sent": sent, "received": received, "gaps": gaps}))


if __name__ == "__main__":
    if sys.argv[1] == "server":
        server(int(sys.argv[2]))
    else:
        client(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]) / 1000,
               float(sys.argv[5]))

#!/usr/bin/python3
"""Five migrations in a row, under load: the VM 'hello' appends records to its
disk with fsync and counts to the VM 'client' over one TCP connection.

Each figure is read from a guest, the client or an interface's counters.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import days                                            # noqa: E402
from cloud import Tap, wait_for                        # noqa: E402

N = 5
tap = Tap()


def newest_gap(stat, since_ms):
    """The longest gap that ended after 'since_ms' by the guest's clock."""
    return max([g["ms"] for g in stat["gaps"] if g["at_ms"] >= since_ms], default=0)


def wan_bytes(d, node):
    """(received, sent) on the node's uplink."""
    text = d.c.net.wan.run("cat", "/sys/class/net/s-%s/statistics/tx_bytes" % node,
                           "/sys/class/net/s-%s/statistics/rx_bytes" % node)
    return [int(x) for x in text.split()]


def received(d):
    return wait_for("the client's STAT", lambda: d.stat("client"), 30)["received"]


def main():
    with days.Day("n1") as d:
        ip = d.c.stats("hello")["ip"] or wait_for("the address", lambda: d.c.stats("hello")["ip"])
        d.create("client", "n1", cmdline="console=ttyS0 sc.role=client sc.server=" + ip)
        d.first_words("client")
        wait_for("the client's connection",
                 lambda: (d.stat("client") or {}).get("received", 0) > 100, 60, 0.2)
        print("# from to total_s guest_pause_ms client_gap_ms wan_in wan_out engine_pause_ms")
        watch = d.watch("hello")
        places = ["n1"]
        for i in range(N):
            to = "n2" if i % 2 == 0 else "n1"
            before, start, had = wan_bytes(d, "n2"), d.stat("hello"), received(d)
            client_at = d.stat("client")["at_ms"]
            job = d.migrate("hello", to)
            tap.ok(job["state"] == "done" and d.c.vm("hello")["node_name"] == to,
                   "migration %d of 'hello', to %s" % (i + 1, to), job)
            stat = d.counting("hello")
            wait_for("the client to hear it", lambda: received(d) > had + 300, 60)
            client = d.stat("client")
            after = wan_bytes(d, "n2")
            places.append(to)
            print("# %s %s %.2f %d %d %d %d %s" % (
                job["result"]["from"], job["result"]["to"], job["result"]["total_ms"] / 1000,
                newest_gap(stat, start["at_ms"]), newest_gap(client, client_at),
                after[0] - before[0], after[1] - before[1], job["result"].get("pause_ms")))
            tap.ok(days.whole(stat), "no record is lost from its disk", stat)
            tap.ok(stat["ip"] == ip, "its address is the same", (ip, stat["ip"]))
            tap.ok(client["breaks"] == 0 and client["missing"] == 0,
                   "the client's connection goes on, and not a number is missing", client)
        watch.end()
        tap.ok(watch.moves() == places, "it never ran in two places", watch.moves())
        tap.ok(d.stat("hello")["connections"] == 1, "the client used one connection",
               d.stat("hello"))
    tap.done()


main()

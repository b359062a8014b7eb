"""sdn - sc-network with real switches: sites, certificates, guests.

Used by the integration tests of the network.  The controller is
sc-net-controller (tests/lib/net_controller.c), which speaks the real RPC; the
bridges are wired by node/ovs.c (sc-ovs-wire).

    with sdn.Sdn(sites=3) as s:
        a = s.guest("a", site=1, net=s.net, ip="10.1.0.11")
        b = s.guest("b", site=3, net=s.net, ip="10.1.0.12")
        a.ping(b.ip)
"""
import json
import os
import queue
import re
import subprocess
import threading
import time
import uuid

import netns

BUILD = os.environ.get("SC_BUILD", "build")
BRIDGE = "br-sc"


def program(name):
    path = os.path.abspath(os.path.join(BUILD, "bin", name))
    if not os.path.exists(path):
        raise SystemExit("Bail out! %s is missing: make all" % path)
    return path


class Tap:
    """TAP output; 'check' goes on after a failure."""

    def __init__(self):
        self.n = self.failed = 0

    def check(self, ok, name, why=""):
        self.n += 1
        self.failed += not ok
        print("%sok %d - %s" % ("" if ok else "not ", self.n, name), flush=True)
        if not ok and why:
            for line in str(why).splitlines():
                print("# " + line, flush=True)
        return ok

    def note(self, text):
        print("# " + text, flush=True)

    def done(self):
        print("1..%d" % self.n, flush=True)
        return 1 if self.failed else 0


class Guest(netns.Guest):
    def __init__(self, sdn, name, port, net):
        super().__init__(sdn.space, name, port["mac"])
        self.sdn, self.port, self.network = sdn, port, net
        self.ip = port["ip"]
        self.port_ifname = "sc" + port["id"].replace("-", "")[:10]


class Sdn:
    """N sites, a controller and sc-network on the first."""

    def __init__(self, sites=3):
        # Times are measured here: before whatever else the machine does.
        self.space = netns.Net(nice=-10)
        self.sites, self.ids, self.guests = {}, {}, {}
        self.events = queue.Queue()
        self.seen = []
        self.networks, self.ports = [], {}
        self.rtts = {}
        try:
            self._start(sites)
        except BaseException:
            self.space.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.space.close()

    def _start(self, n):
        self.pki = os.path.join(self.space.dir, "pki")
        for nid in range(1, n + 1):
            self.ids[nid] = str(uuid.uuid4())
        netns.sh(program("sc-net-controller"), "pki", self.pki,
                 *self.ids.values())
        for nid in range(1, n + 1):
            self.sites[nid] = self.space.site("n%d" % nid, "10.200.0.%d" % nid)
        self.state_file = os.path.join(self.space.dir, "state.json")
        self.net = self.network(vni=100, cidr="10.1.0.0/24")
        self.write_state()
        self.start_controller()
        self.start_network()
        for nid in self.sites:
            self.wire(nid)

    # --- the cluster's state ------------------------------------------------
    def network(self, vni, cidr, gateway=True, mtu=1400):
        base = cidr.split("/")[0].rsplit(".", 1)[0]
        net = {"id": str(uuid.uuid4()), "name": "net%d" % vni, "vni": vni,
               "cidr": cidr, "gateway": base + ".1" if gateway else None,
               "dns": base + ".1" if gateway else None, "mtu": mtu,
               "dhcp_start": base + ".10", "dhcp_end": base + ".250"}
        self.networks.append(net)
        return net

    def nodes(self):
        return [{"node_id": self.ids[nid], "nid": nid, "name": "n%d" % nid,
                 "region": "r%d" % nid, "address": s.ip, "up": True}
                for nid, s in self.sites.items()]

    def write_state(self):
        with open(self.state_file + ".new", "w") as f:
            json.dump({"nodes": self.nodes(), "networks": self.networks,
                       "ports": list(self.ports.values())}, f)
        os.rename(self.state_file + ".new", self.state_file)

    # --- processes -----------------------------------------------------------
    def start_controller(self):
        self.controller = self.sites[1].popen(
            program("sc-net-controller"), "serve", "0.0.0.0:7443", self.pki,
            self.state_file, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=open(os.path.join(self.space.dir, "controller.log"), "ab"),
            text=True)
        threading.Thread(target=self._read, args=(self.controller,),
                         daemon=True).start()
        self.expect("ready")

    def _read(self, process):
        for line in process.stdout:
            self.events.put(json.loads(line))

    def expect(self, event, timeout=15, **fields):
        """The next event of that name whose data has 'fields'."""
        end = time.monotonic() + timeout
        for i, e in enumerate(self.seen):
            if self._fits(e, event, fields):
                return self.seen.pop(i)
        while True:
            try:
                e = self.events.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise TimeoutError("no event %s %s; had %s" % (
                    event, fields, self.seen)) from None
            if self._fits(e, event, fields):
                return e
            self.seen.append(e)

    @staticmethod
    def _fits(e, event, fields):
        data = e.get("data") or {}
        return e["event"] == event and all(
            data.get(k) == v for k, v in fields.items())

    def tell(self, method, params, call=False):
        self.controller.stdin.write(json.dumps(
            {"method": method, "params": params, "call": call}) + "\n")
        self.controller.stdin.flush()

    def call(self, method, params):
        self.tell(method, params, call=True)
        data = self.expect("answer")["data"]
        if "error" in data:
            raise RuntimeError(data["error"])
        return data["result"]

    def start_network(self):
        run = os.path.join(self.space.dir, "run")
        os.makedirs(run, exist_ok=True)
        config = os.path.join(self.space.dir, "network.json")
        with open(config, "w") as f:
            json.dump({"node_id": self.ids[1], "nid": 1, "name": "n1",
                       "region": "r1", "provider": "test",
                       "roles": ["controller", "node"],
                       "controller": {"host": "10.200.0.1", "port": 7443},
                       "address": "10.200.0.1", "run_dir": run,
                       "state_dir": self.space.dir, "pki_dir": self.pki,
                       "openflow_listen": "0.0.0.0:6653"}, f)
        self.run_dir = run
        self.network_proc = self.sites[1].popen(
            program("sc-network"), "--config", config, log="network.log")
        self.expect("hello")

    def stop_network(self):
        netns.stop_pid(self.network_proc.pid)

    def network_log(self):
        with open(os.path.join(self.space.dir, "network.log")) as f:
            return f.read()

    def status(self, what="status"):
        """daemon.status or daemon.dump of sc-network."""
        import socket
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(os.path.join(self.run_dir, "sc-network.sock"))
            s.sendall((json.dumps({"jsonrpc": "2.0", "id": 1,
                                   "method": "daemon." + what}) + "\n").encode())
            data = b""
            while not data.endswith(b"\n"):
                part = s.recv(65536)
                if not part:
                    break
                data += part
            return json.loads(data)["result"]

    def ovs_wire(self, nid, *ops, check=True):
        site = self.sites[nid]
        return site.run(program("sc-ovs-wire"), site.ovsdb, BRIDGE, "netdev",
                        nid, "ssl:10.200.0.1:6653",
                        os.path.join(self.pki, self.ids[nid]), *ops,
                        check=check)

    def wire(self, nid):
        mesh = ",".join("%d:%s" % (other, s.ip)
                        for other, s in self.sites.items() if other != nid)
        self.ovs_wire(nid, "mesh=" + mesh)

    def ready(self, timeout=20):
        """Waits until every switch is up and every link was seen."""
        n = len(self.sites)

        def is_ready():
            j = self.status()
            return len(j["switches"]) == n and sum(
                l["seen"] and l["up"] for l in j["links"]) == n * (n - 1)
        netns.wait_for("switches and links", is_ready, timeout)

    # --- guests ----------------------------------------------------------------
    def new_port(self, net, ip, nid, mac=None):
        pid = str(uuid.uuid4())
        mac = mac or "02:%s:%s:%s:%s:%s" % tuple(
            pid.replace("-", "")[i:i + 2] for i in range(0, 10, 2))
        self.ports[pid] = {"id": pid, "network_id": net["id"],
                           "vm_id": str(uuid.uuid4()), "mac": mac, "ip": ip,
                           "nid": nid}
        return self.ports[pid]

    def guest(self, name, site, net, ip, address=True, mac=None):
        """A running guest; 'address': set by hand, else by its own DHCP."""
        port = self.new_port(net, ip, site, mac)
        self.write_state()
        if net not in self.told_networks():
            self.tell("net.network_set", net)
            self._told.append(net)
        self.tell("net.port_set", port)
        g = Guest(self, name, port, net)
        self.guests[name] = g
        g.nid = site
        g.plug(self.sites[site], g.port_ifname)
        self.ovs_wire(site, "add=" + port["id"])
        if address:
            g.address("%s/%s" % (ip, net["cidr"].split("/")[1]), net["gateway"])
        self.wait_flows(site, "dl_src=" + port["mac"])
        return g

    def told_networks(self):
        if not hasattr(self, "_told"):
            self._told = [self.networks[0]]
        return self._told

    def flows(self, nid):
        """Lines of the switch's flows without what changes by itself."""
        lines = []
        for line in self.sites[nid].ofctl("dump-flows", BRIDGE).splitlines():
            if "actions=" in line:
                lines.append(line.strip())
        return lines

    def stable_flows(self, nid):
        return sorted(re.sub(r"(duration|n_packets|n_bytes|idle_age)=[^,]*, ?",
                             "", l) for l in self.flows(nid))

    def wait_flows(self, nid, text, timeout=10):
        netns.wait_for("flow with %s at switch %d" % (text, nid), lambda: any(
            text in l for l in self.flows(nid)), timeout)

    def latency(self, **pairs):
        """latency(n1_n2=75) sets milliseconds of round trip."""
        for k, v in pairs.items():
            a, b = k.split("_")
            self.rtts[k] = {"a": int(a[1:]), "b": int(b[1:]), "rtt_ms": v}
        self.tell("net.latency", {"pairs": list(self.rtts.values())})

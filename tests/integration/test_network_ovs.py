#!/usr/bin/python3
"""node/ovs.c with a real Open vSwitch: everything by difference, errors in
words, a database that goes away; and who may connect to sc-network."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import netns  # noqa: E402
import sdn  # noqa: E402

tap = sdn.Tap()
PORT = "01234567-89ab-4cde-8f01-23456789abcd"
IFNAME = "sc0123456789"
OTHER = "fedcba98-7654-4321-8fed-cba987654321"


def wire(site, *ops, bridge="br-sc", nid=7, check=True,
         controller="ssl:10.200.0.9:6653", pki="/nowhere"):
    return site.run(sdn.program("sc-ovs-wire"), site.ovsdb, bridge, "netdev",
                    nid, controller, pki, *ops, check=check)


def cfg(site):
    return int(site.vsctl("get", "open_vswitch", ".", "next_cfg"))


def wiring(site):
    wire(site)
    show = site.vsctl("show")
    tap.check("ssl:10.200.0.9:6653" in show and "fail_mode: secure" in show,
              "the bridge is made with its controller, fail-secure", show)
    tap.check(site.vsctl("get", "bridge", "br-sc", "datapath_id").strip() ==
              '"0000000000000007"', "its datapath id is the nid")
    got = site.vsctl("get", "bridge", "br-sc", "protocols")
    tap.check("OpenFlow13" in got and "OpenFlow10" not in got,
              "it speaks OpenFlow 1.3 and later", got)
    got = site.vsctl("get-ssl")
    tap.check("/nowhere/node.key" in got and "/nowhere/ca.crt" in got,
              "the certificates are set", got)

    before = cfg(site)
    wire(site, "mesh=")
    tap.check(cfg(site) == before, "asked again, nothing is written")

    wire(site, "mesh=1:10.200.0.1,2:10.200.0.2")
    ports = site.vsctl("list-ports", "br-sc").split()
    tap.check(ports == ["vx1", "vx2"], "a mesh is made", ports)
    ofport = site.vsctl("get", "interface", "vx1", "ofport")
    wire(site, "mesh=1:10.200.0.1,3:10.200.0.3")
    tap.check(site.vsctl("list-ports", "br-sc").split() == ["vx1", "vx3"] and
              site.vsctl("get", "interface", "vx1", "ofport") == ofport,
              "a peer that stays keeps its port")
    wire(site, "mesh=1:10.200.0.77,3:10.200.0.3")
    tap.check("10.200.0.77" in site.vsctl("get", "interface", "vx1", "options"),
              "a peer that moved is followed")


def ports(site):
    out = wire(site, "add=" + PORT, check=False)
    tap.check("No such device" in out, "a device that is not there is told of "
              "in words", out)
    site.tap(IFNAME)
    netns.wait_for("the tap to be attached", lambda: site.vsctl(
        "get", "interface", IFNAME, "ofport").strip().isdigit())
    tap.check(True, "and is attached when it appears")
    before = cfg(site)
    tap.check("ok add" in wire(site, "add=" + PORT) and
              PORT in site.vsctl("get", "interface", IFNAME, "external_ids"),
              "adding again is fine")
    tap.check(site.vsctl("get", "interface", IFNAME, "ofport").strip() != "-1"
              and cfg(site) <= before + 1, "and moves nothing")
    site.vsctl("add-br", "br-old", "--", "set", "bridge", "br-old",
               "datapath_type=netdev")
    site.tap("scfedcba9876")
    site.vsctl("add-port", "br-old", "scfedcba9876")
    wire(site, "add=" + OTHER)
    tap.check(site.vsctl("port-to-br", "scfedcba9876").strip() == "br-sc",
              "a port of another bridge is moved")
    site.vsctl("del-br", "br-old")
    wire(site, "retain=" + OTHER)
    ports_now = site.vsctl("list-ports", "br-sc").split()
    tap.check(IFNAME not in ports_now and "scfedcba9876" in ports_now and
              "vx1" in ports_now, "what no guest uses goes, tunnels stay",
              ports_now)
    wire(site, "del=" + OTHER, "del=" + OTHER)
    tap.check(site.vsctl("list-ports", "br-sc").split() == ["vx1", "vx3"],
              "deleting twice is fine")


def trouble(site):
    netns.stop_pid(site.db_proc.pid)
    p = site.popen(sdn.program("sc-ovs-wire"), site.ovsdb, "br-sc", "netdev",
                   "7", "ssl:10.200.0.9:6653", "/nowhere", "mesh=2:10.200.0.2",
                   stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    still = p.poll() is None
    site.db_proc = site.popen(
        "ovsdb-server", os.path.join(site.dir, "conf.db"),
        "--remote=punix:" + site.ovsdb, "-vconsole:off", "--unixctl=" +
        os.path.join(site.dir, "ovsdb2.ctl"), env=site.env())
    out = p.communicate(timeout=20)[0]
    tap.check(still and p.returncode == 0,
              "a database that is away is waited for", out)
    netns.stop_pid(site.switch_proc.pid)
    t = time.monotonic()
    out = wire(site, "mesh=", check=False)
    took = time.monotonic() - t
    tap.check("ovs-vswitchd has not" in out and 14 < took < 20,
              "a switch that does nothing is told of after 15 s",
              "%.1f s: %s" % (took, out))


def strangers():
    """Only a node's own certificate opens its datapath id."""
    with sdn.Sdn(sites=2) as s:
        s.ready()

        def connect_as(dpid, identity, port=9):
            """Lets site 2 also run a bridge of datapath id 'dpid'."""
            site = s.sites[2]
            pki = os.path.join(s.pki, identity)
            site.vsctl("set-ssl", pki + "/node.key", pki + "/node.crt",
                       pki + "/ca.crt")
            site.vsctl("--may-exist", "add-br", "br-x", "--", "set", "bridge",
                       "br-x", "datapath_type=netdev", "fail_mode=secure",
                       "other_config:datapath-id=%016x" % dpid, "--",
                       "set-controller", "br-x", "ssl:10.200.0.1:6653")

        mark = len(s.network_log())
        connect_as(1, s.ids[2])
        netns.wait_for("a refusal", lambda: "openflow.refused" in
                       s.network_log()[mark:])
        told = s.network_log()[mark:]
        tap.check("datapath id 1, but the certificate is of '%s'" % s.ids[2] in
                  told, "a node cannot pose as another's switch", told)
        tap.check("switch 1 at ssl:10.200.0.2" not in told,
                  "and does not take its place")
        s.sites[2].vsctl("del-br", "br-x")

        # A certificate of another authority.
        foreign = os.path.join(s.space.dir, "foreign")
        netns.sh(sdn.program("sc-net-controller"), "pki", foreign, s.ids[2])
        mine = s.pki
        s.pki = foreign
        mark = len(s.network_log())
        connect_as(2, s.ids[2])
        time.sleep(3)
        told = s.network_log()[mark:]
        tap.check("openflow.up" not in told,
                  "a certificate of another authority opens nothing", told)
        s.pki = mine
        s.sites[2].vsctl("del-br", "br-x")

        # No certificate at all.
        out = s.sites[2].run(
            "sh", "-c", "echo | openssl s_client -connect 10.200.0.1:6653 "
            "-CAfile %s/ca.crt -quiet 2>&1; true" % s.pki, check=False,
            timeout=20)
        tap.check("alert" in out or "certificate required" in out,
                  "nobody is served without a certificate", out)
        s.ovs_wire(2)
        netns.wait_for("switch 2 to come back", lambda: 2 in s.status()[
            "switches"])
        tap.check(True, "the node's own switch goes on")


def main():
    with netns.Net() as net:
        site = net.site("a", "10.200.0.7")
        wiring(site)
        ports(site)
        trouble(site)
    strangers()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""The emulated providers, asked by cloud-init's own data sources.

The "machine" is a network namespace whose card hangs on the emulator's socket,
where a QEMU machine's would: it gets its address by DHCP and reaches the services
at their real addresses.  Only the firmware's texts (DMI) are given by the test.
"""
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
LIB = os.path.join(HERE, "..", "lib")
sys.path.insert(0, LIB)
import metadata                                          # noqa: E402
from metadata import azure, dhcp, disc, net              # noqa: E402

EMULATOR = os.path.join(LIB, "metadata", "emulator")
USER_DATA = "#cloud-config\nsupercloud:\n  role: controller\n  region: \u00fcs-east\n"
MAC = "52:54:00:12:34:56"
UUIDS = {"ec2": "ec2a1b2c-0d4e-4f60-8123-456789abcdef"}


# --- inside the machine's namespace ---------------------------------------------

def http(method, url, body=None, **headers):
    """(status, headers, body)"""
    q = urllib.request.Request(url, method=method, data=body,
                               headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(q, timeout=30) as r:
            return r.status, dict(r.headers), r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, dict(e.headers), e.read().decode()


def prepare(udhcpc):
    """A machine's /run and /etc/resolv.conf; the address by DHCP if 'udhcpc'."""
    subprocess.run(["mount", "-t", "tmpfs", "run", "/run"], check=True)
    with open("/run/resolv.conf", "w") as f:
        f.write("options timeout:2 attempts:2\n")
    subprocess.run(["mount", "--bind", "/run/resolv.conf", os.path.realpath("/etc/resolv.conf")],
                   check=False)
    if udhcpc:
        script = "/run/dhcp"
        with open(script, "w") as f:
            f.write("#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nip addr replace $ip/$mask dev "
                    "$interface\nfor r in $router; do ip route replace default via $r; done\n"
                    "for d in $dns; do echo nameserver $d >>/run/resolv.conf; done\n")
        os.chmod(script, 0o755)
        subprocess.run(["ip", "link", "set", "eth0", "up"], check=True)
        subprocess.run(["udhcpc", "-i", "eth0", "-n", "-q", "-f", "-s", script, "-t", "10", "-T",
                        "1"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def source(name, cls, dmi, folder, seed=None):
    """cloud-init's data source 'cls', after it has got its data."""
    import importlib
    from cloudinit import distros, helpers
    import cloudinit.dmi
    cloudinit.dmi.read_dmi_data = lambda key: dmi.get(key, "")
    module = importlib.import_module("cloudinit.sources.DataSource" + name)
    paths = helpers.Paths({"cloud_dir": folder + "/cloud", "run_dir": folder + "/run"})
    distro = distros.fetch("debian")("debian", {}, paths)
    ds = getattr(module, cls)({"datasource_list": [name, "None"], "datasource": {}}, distro, paths)
    if seed:
        ds.seed_dir = seed
    if name == "Azure":
        ds.ds_cfg["data_dir"] = folder + "/waagent"
        module.PLATFORM_ENTROPY_SOURCE = None
        # Not ours to look for: discs of the host that runs the test.
        module.list_possible_azure_ds = lambda seed_dir, cache: iter([seed_dir])
    found = ds.get_data()
    raw = ds.get_userdata_raw() or b""
    return {"found": bool(found), "instance_id": found and ds.get_instance_id(),
            "user_data": raw.decode() if isinstance(raw, bytes) else raw,
            "hostname": found and str(ds.get_hostname().hostname),
            "region": getattr(ds, "region", None), "network": found and ds.network_config,
            "local_ipv4": (ds.metadata or {}).get("local-ipv4"),
            "wire_server": getattr(ds, "_wireserver_endpoint", None)}


def sniff(seconds, ttls):
    """Collects the IP TTL of packets that carry data from the metadata service."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    s.bind(("eth0", 0))
    s.settimeout(0.2)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            f = s.recv(65536)
        except socket.timeout:
            continue
        if f[23] == 6 and socket.inet_ntoa(f[26:30]) == "169.254.169.254":
            at = 14 + (f[14] & 15) * 4
            data = f[at + (f[at + 12] >> 4) * 4:14 + struct.unpack_from(">H", f, 16)[0]]
            if data.startswith(b"HTTP/"):
                ttls.append(f[22])


def probe_ec2(folder):
    prepare(False)
    # As in the image: the local stage, which gets its address by itself.
    uuid = UUIDS["ec2"]
    out = {"ds": source("Ec2", "DataSourceEc2Local", {
        "system-uuid": uuid, "system-serial-number": uuid}, folder)}
    prepare(True)
    base = "http://169.254.169.254/latest/"
    ttls = []
    t = threading.Thread(target=sniff, args=(1.5, ttls))
    t.start()
    time.sleep(0.3)
    put = lambda **h: http("PUT", base + "api/token", **h)            # noqa: E731
    out["token"] = put(X_aws_ec2_metadata_token_ttl_seconds="1")[:2]
    short = put(X_aws_ec2_metadata_token_ttl_seconds="1")[2]
    token = put(X_aws_ec2_metadata_token_ttl_seconds="21600")[2]
    get = lambda path, tok=token: http("GET", base + path, X_aws_ec2_metadata_token=tok)  # noqa: E731
    out["bare"] = http("GET", base + "meta-data/")[0]
    out["wrong"] = get("meta-data/", "x")[0]
    out["bad_ttl"] = [put(X_aws_ec2_metadata_token_ttl_seconds=x)[0] for x in ("0", "21601", "x")]
    out["no_ttl"] = put()[0]
    out["forwarded"] = put(X_aws_ec2_metadata_token_ttl_seconds="60", X_Forwarded_For="10.0.0.9")[0]
    out["spot_before"] = get("meta-data/spot/instance-action")[0]
    t.join()
    out["ttls"] = sorted(set(ttls[:3])), sorted(set(ttls[3:4]))
    out["late"] = get("meta-data/", short)[0]
    notice(folder, {"kind": "spot", "action": "terminate", "in_s": 120})
    out["spot"] = get("meta-data/spot/instance-action")[2]
    out["list"] = get("meta-data/")[2].split("\n")
    notice(folder, {"kind": "clear"})
    out["spot_after"] = get("meta-data/spot/instance-action")[0]
    s = socket.socket()
    s.settimeout(1)
    out["outside"] = s.connect_ex(("192.0.2.1", 80))
    return out


def probe_gce(folder):
    prepare(True)
    out = {"ds": source("GCE", "DataSourceGCE", {
        "system-product-name": "Google Compute Engine"}, folder)}
    base = "http://metadata.google.internal/computeMetadata/v1/instance/"
    out["bare"] = http("GET", base + "id")[0]
    out["flavor"] = http("GET", base + "id", Metadata_Flavor="Google")[1].get("Metadata-Flavor")
    out["mtu"] = json.loads(http("GET", base + "network-interfaces/0/?recursive=true",
                                 Metadata_Flavor="Google")[2])["mtu"]
    out["before"] = http("GET", base + "preempted", Metadata_Flavor="Google")[2]
    got = []
    t = threading.Thread(target=lambda: got.append(http(
        "GET", base + "preempted?wait_for_change=true", Metadata_Flavor="Google")))
    t.start()
    t.join(0.7)
    out["waits"] = t.is_alive()
    began = time.monotonic()
    notice(folder, {"kind": "preempt"})
    t.join(20)
    out["heard_s"], out["heard"] = time.monotonic() - began, got[0][2]
    out["timeout"] = http("GET", base + "preempted?wait_for_change=true&timeout_sec=0",
                          Metadata_Flavor="Google")[2]
    return out


def probe_azure(folder):
    prepare(False)
    out = {"ds": source("Azure", "DataSourceAzure", {
        "chassis-asset-tag": "7783-7084-3265-9085-8269-3286-77",
        "system-uuid": metadata.Instance(provider("azure")).uuid}, folder, folder + "/cd")}
    prepare(True)
    base = "http://169.254.169.254/metadata/"
    events = base + "scheduledevents?api-version=2020-07-01"
    out["bare"] = http("GET", base + "instance?api-version=2021-08-01")[0]
    status, _, text = http("GET", base + "instance?api-version=1999-01-01", Metadata="true")
    out["version"] = status, "newest-versions" in text
    out["leaf"] = http("GET", base + "instance/compute/vmSize?api-version=2021-08-01&format=text",
                       Metadata="true")[2]
    out["events"] = json.loads(http("GET", events, Metadata="true")[2])["Events"]
    notice(folder, {"kind": "event", "type": "Preempt", "in_s": 30})
    out["preempt"] = json.loads(http("GET", events, Metadata="true")[2])["Events"]
    ack = json.dumps({"StartRequests": [{"EventId": out["preempt"][0]["EventId"]}]}).encode()
    out["ack"] = http("POST", events, ack, Metadata="true")[0]
    out["ack_other"] = http("POST", events, b'{"StartRequests": [{"EventId": "x"}]}',
                            Metadata="true")[0]
    out["started"] = json.loads(http("GET", events, Metadata="true")[2])["Events"]
    out["wire_bare"] = http("GET", "http://168.63.129.16/machine?comp=goalstate")[0]
    return out


def probe_rackspace(folder):
    prepare(False)
    return {"ds": source("OpenStack", "DataSourceOpenStackLocal", {
        "system-product-name": "OpenStack Nova"}, folder)}


def notice(folder, what):
    subprocess.run([EMULATOR, "notice", folder, json.dumps(what)], check=True)


# --- outside -----------------------------------------------------------------------

n = failed = 0


def ok(good, name, detail=""):
    global n, failed
    n += 1
    failed += not good
    print("%s %d - %s" % ("ok" if good else "not ok", n, name), flush=True)
    if not good:
        print("# " + str(detail).replace("\n", "\n# ")[:3000], flush=True)


def provider(like):
    return {"like": like, "name": "vm-1", "region": "us-east-1", "mac": MAC, "type": "m5.large",
            "uuid": UUIDS.get(like, "0b8f6a34-93bc-4d5e-8f01-23456789abcd"),
            "address": "10.200.0.7/24", "user_data": USER_DATA}


def unpack(iso, folder, *names):
    """Files of a disc, read by another program than wrote it."""
    for name in names:
        full = os.path.join(folder, name)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as f:
            f.write(subprocess.run(["isoinfo", "-i", iso, "-R", "-x",
                                    "/" + name], check=True, stdout=subprocess.PIPE).stdout)


def label(iso):
    p = subprocess.run(["blkid", "-p", "-o", "export", iso], stdout=subprocess.PIPE, text=True)
    return dict(line.split("=", 1) for line in p.stdout.splitlines() if "=" in line)


def run_probe(network, like):
    """Starts the emulator and a machine of it, runs the probe there."""
    import netns
    folder = os.path.join(network.dir, like)
    os.makedirs(folder)
    with open(os.path.join(folder, "provider.json"), "w") as f:
        json.dump(provider(like), f)
    space = netns.Space(network, like)
    p = subprocess.run([EMULATOR, "start", folder], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=60)
    try:
        if p.returncode:
            raise RuntimeError(p.stdout)
        if like == "azure":
            unpack(os.path.join(folder, "disc.iso"), os.path.join(folder, "cd"), "ovf-env.xml")
        space.popen(EMULATOR, "plug", "eth0", folder + "/nic.sock", folder + "/net.sock", MAC,
                    log=like + ".plug")
        netns.wait_for("the card", lambda: "eth0" in space.run("ip", "-br", "link"))
        out = space.run(sys.executable, os.path.abspath(__file__), "probe", like, folder,
                        timeout=240)
        status = json.loads(subprocess.run([EMULATOR, "status", folder], check=True,
                                           stdout=subprocess.PIPE).stdout)
        return json.loads(out.splitlines()[-1]), status
    finally:
        subprocess.run([EMULATOR, "stop", folder], check=True)


def test_ec2(network, probed):
    r, status = probed
    d = r["ds"]
    ok(d["found"] and d["user_data"] == USER_DATA, "EC2: cloud-init takes the user-data", r)
    ok(d["instance_id"] == "i-0a1b2c0d4e4f60812" and d["region"] == "us-east-1" and
       d["local_ipv4"] == "10.200.0.7", "EC2: instance, region and address", d)
    ok(d["network"]["ethernets"]["eth0"]["dhcp4"] is True and
       d["network"]["ethernets"]["eth0"]["match"]["macaddress"] == MAC,
       "EC2: the network's description names the machine's card", d["network"])
    ok(r["token"][0] == 200 and r["bare"] == 401 and r["wrong"] == 401 and r["late"] == 401,
       "EC2: nothing is read without a token that is good", r)
    ok(r["bad_ttl"] == [400, 400, 400] and r["no_ttl"] == 400 and r["forwarded"] == 403,
       "EC2: a token is refused for a bad time to live, and through a proxy", r)
    ok(r["ttls"] == [[1], [64]], "EC2: the answer with the token lives for one hop, others do not", r)
    ok(r["spot_before"] == 404 and r["spot_after"] == 404 and
       json.loads(r["spot"])["action"] == "terminate" and "spot/" in r["list"],
       "EC2: a spot notice appears when it is announced", r)
    ok(r["outside"] != 0, "EC2: there is no way to the outside", r)
    ok(status["leases"] > 0, "EC2: the address came by DHCP", status)


def test_gce(network, probed):
    r, _ = probed
    d = r["ds"]
    ok(d["found"] and d["user_data"] == USER_DATA, "GCE: cloud-init takes the user-data", r)
    ok(d["region"] == "us-east-1" and d["hostname"] == "vm-1" and len(d["instance_id"]) == 19,
       "GCE: zone, host name and id", d)
    ok(r["bare"] == 403 and r["flavor"] == "Google", "GCE: the header is asked for, and given", r)
    ok(r["mtu"] == 1460, "GCE: a folder of the tree is one JSON", r)
    ok(r["before"] == "FALSE" and r["waits"] and r["heard"] == "TRUE" and r["heard_s"] < 2,
       "GCE: who waits hears of the preemption in under 2 s", r)
    ok(r["timeout"] == "TRUE", "GCE: waiting ends at its time-out with what there is", r)


def test_azure(network, probed):
    r, status = probed
    d = r["ds"]
    what = label(os.path.join(network.dir, "azure", "disc.iso"))
    ok(what.get("TYPE") == "udf" and what.get("LABEL", "").startswith("rd_rdfe_"),
       "Azure: the provisioning CD is UDF with Azure's label", what)
    ok(d["found"] and d["user_data"] == USER_DATA, "Azure: cloud-init takes the custom data", r)
    ok(d["wire_server"] == azure.WIRE_SERVER and
       ["GET", "/machine/?comp=goalstate", 200] in status["requests"],
       "Azure: DHCP's option 245 leads to the wire server", (d, status))
    ok(status["health"] == [["Ready", "", ""]], "Azure: the machine reports that it is ready", status)
    ok(d["network"]["ethernets"]["eth0"]["dhcp4"] is True and d["instance_id"] ==
       provider("azure")["uuid"], "Azure: id, and the network's description from IMDS", d)
    ok(r["bare"] == 400 and r["version"] == [400, True] and r["wire_bare"] == 400,
       "Azure: the headers and a known version are asked for", r)
    ok(r["leaf"] == "m5.large", "Azure: one value as text", r)
    ok(r["events"] == [] and r["preempt"][0]["EventType"] == "Preempt" and
       r["preempt"][0]["EventStatus"] == "Scheduled" and r["ack"] == 200 and
       r["ack_other"] == 400 and r["started"][0]["EventStatus"] == "Started",
       "Azure: a scheduled event is announced, acknowledged and started", r)


def test_openstack(network, probed):
    r, _ = probed
    d = r["ds"]
    ok(d["found"] and d["user_data"] == USER_DATA, "OpenStack: cloud-init takes the user-data", r)
    ok(d["instance_id"] == provider("rackspace")["uuid"] and d["hostname"].startswith("vm-1"),
       "OpenStack: id and name", d)
    ok(d["network"]["config"][0]["mac_address"] == MAC and
       d["network"]["config"][0]["subnets"][0]["type"] == "dhcp4",
       "OpenStack: network_data.json describes the card", d["network"])


def test_config_drive(network):
    from cloudinit.sources import DataSourceConfigDrive as cd
    from cloudinit.sources.helpers import openstack
    i = metadata.Instance(provider("rackspace-classic"))
    iso = os.path.join(network.dir, "config.iso")
    disc.make(i, iso)
    folder = os.path.join(network.dir, "config")
    unpack(iso, folder, *disc.contents(i)[1])
    what = label(iso)
    ok(what.get("TYPE") == "iso9660" and what.get("LABEL") == "config-2",
       "the config drive is ISO 9660 with its label", what)
    r = cd.read_config_drive(folder)
    ok(r["userdata"].decode() == USER_DATA and r["metadata"]["uuid"] == i.uuid,
       "cloud-init takes user-data and id from the config drive", r)
    net_v1 = openstack.convert_net_json(r["networkdata"], known_macs={MAC: "eth0"})
    subnet = net_v1["config"][0]["subnets"][0]
    ok(subnet["address"] == "10.200.0.7" and subnet["type"] == "static" and
       subnet["routes"][0]["gateway"] == i.gateway, "and the whole address", net_v1)


def test_dhcp():
    i = metadata.Instance(provider("gce"))
    lease = {"mac": "02:00:00:00:00:02", "address": i.address, "options": dhcp.options_of(i)}

    def ask(kind, **opts):
        o = bytes([53, 1, kind]) + b"".join(
            bytes([int(k[1:]), len(v)]) + v for k, v in opts.items()) + b"\xff"
        body = b"\1\1\6\0abcd\0\0\x80\0" + b"\0" * 16 + bytes(6).rjust(6, b"\1").ljust(16, b"\0") + \
            b"\0" * 192 + dhcp.MAGIC + o
        udp = struct.pack(">HHHH", 68, 67, 8 + len(body), 0)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(body), 0, 0, 64, 17, 0, b"\0" * 4,
                         b"\xff" * 4)
        frame = b"\xff" * 6 + b"\2" * 6 + b"\x08\0" + ip + udp + body
        a = dhcp.reply(frame, lease) if dhcp.is_request(frame) else None
        return a and (a, dhcp_options(a))

    def dhcp_options(a):
        b = bytearray(a)
        b[42] = 1                                       # A reply, read as a request.
        return dhcp.parse(bytes(b))[4]
    offer, o = ask(dhcp.DISCOVER, o55=bytes([1, 3, 6, 26]))
    ok(o[53] == b"\2" and o[26] == struct.pack(">H", 1460) and 12 not in o and
       offer[58:62] == dhcp.ip4("10.200.0.7"), "DHCP: offers the address, with what was asked for", o)
    ok(ask(dhcp.REQUEST, o50=dhcp.ip4("10.200.0.7"))[1][53] == b"\5", "DHCP: acknowledges it")
    ok(ask(dhcp.REQUEST, o50=dhcp.ip4("10.200.0.8"))[1][53] == b"\6", "DHCP: refuses another")
    ok(ask(dhcp.REQUEST, o54=dhcp.ip4("10.0.0.1")) is None, "DHCP: is silent when another is meant")
    ok(dhcp.checksum(offer[14:34]) == 0, "DHCP: the packet's checksum is right")
    q = b"ab\1\0\0\1\0\0\0\0\0\0\x08metadata\6google\x08internal\0\0\1\0\1"
    hosts = {"metadata.google.internal": "169.254.169.254"}
    a = net.dns_reply(q, hosts)
    ok(a[:2] == b"ab" and a[3] & 15 == 0 and a[-4:] == dhcp.ip4("169.254.169.254") and
       net.dns_reply(q, {})[3] & 15 == 3 and net.dns_reply(q[:20], hosts) is None,
       "the name service answers for its names, and for no others", a)


def main():
    if sys.argv[1:2] == ["probe"]:
        out = globals()["probe_" + sys.argv[2]](sys.argv[3])
        print("\n" + json.dumps(out, default=str))
        return 0
    test_dhcp()
    if os.geteuid() != 0:
        print("ok %d - the data sources # SKIP needs root for its machine's namespace" % (n + 1))
        print("1..%d" % (n + 1))
        return failed != 0
    import netns
    from concurrent.futures import ThreadPoolExecutor
    with netns.Net() as network, ThreadPoolExecutor(4) as pool:
        # Most of it is waiting: all providers side by side.
        probes = {like: pool.submit(run_probe, network, like)
                  for like in ("ec2", "gce", "azure", "rackspace")}
        for t, like in ((test_ec2, "ec2"), (test_gce, "gce"), (test_azure, "azure"),
                        (test_openstack, "rackspace"), (test_config_drive, "")):
            try:
                t(network, *([probes[like].result()] if like else []))
            except Exception as e:                       # noqa: B902: the others go on.
                ok(False, t.__name__, "%s: %s" % (type(e).__name__, e))
    print("1..%d" % n)
    return failed != 0


sys.exit(main())

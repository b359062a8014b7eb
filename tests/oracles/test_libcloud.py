#!/usr/bin/python3
"""The emulated Google Cloud and Azure, used by an independent client, and our requests held against
that client's for the same launch.

The client is Apache Libcloud (Debian's python3-libcloud): what it makes, the emulators must take,
or they are stricter than the clouds; what it lists, they must answer.  Skipped if it has not been
fetched (make check-oracles).
"""
import base64
import contextlib
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import oracles                                         # noqa: E402

oracles.need()
import libcloud.security                               # noqa: E402
import test_provider_azure as own_azure                # noqa: E402
import test_provider_gce as own_gce                    # noqa: E402
from clouds import azure, base, gce                    # noqa: E402
from libcloud.common import azure_arm as arm_base      # noqa: E402
from libcloud.common import google                     # noqa: E402
from libcloud.compute.base import NodeAuthSSHKey       # noqa: E402
from libcloud.compute.drivers import azure_arm         # noqa: E402
from libcloud.compute.drivers import gce as lib_gce    # noqa: E402

tap = base.Tap()
KEY = "ssh-rsa " + base64.b64encode(b"\0\0\0\7ssh-rsa" + bytes(300)).decode()


def certificate(folder):
    """(certificate, key) of 127.0.0.1: the client follows https links alone."""
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    return cert, key


def base_name(text):
    return (text or "").rpartition("/")[2]


def shape(body):
    """What of an instance's insert both clients must say alike."""
    disk, nic = body["disks"][0], body["networkInterfaces"][0]
    init = disk["initializeParams"]
    return {"name": body["name"], "type": base_name(body["machineType"]),
            "labels": body["labels"], "tags": body["tags"]["items"],
            "boot": disk["boot"], "autoDelete": disk["autoDelete"],
            "image": base_name(init["sourceImage"]), "size": str(init.get("diskSizeGb")),
            "disk": base_name(init["diskType"]), "network": base_name(nic["network"]),
            "access": [(a["name"], a["type"]) for a in nic["accessConfigs"]],
            "metadata": {i["key"]: i["value"] for i in body["metadata"]["items"]
                         if i["key"] != "supercloud-image"},
            "spot": body["scheduling"].get("preemptible")}


def google_cloud(folder, tls):
    image = own_gce.make_image(folder, 2, 300)
    with gce.Gce(tls=tls) as cloud:
        cloud.padded_jwt = True                 # This client pads its tokens; RFC 7515 says no.
        config = cloud.config(ca_file=tls[0])
        r = own_gce.call(cloud, "publish", own_gce.publish_args(image), config=config)
        tap.ok(r.result, "gce: our driver publishes over TLS, trusting ca_file", r)
        r = own_gce.call(cloud, "check", config=dict(config, ca_file=None))
        tap.ok(r.error and r.error["code"] == "EACCES", "... and does not trust without it", r)

        for c in (google.GoogleBaseAuthConnection, google.GoogleServiceAcctAuthConnection,
                  lib_gce.GCEConnection):
            c.host = "127.0.0.1"

        class Driver(lib_gce.GCENodeDriver):
            def _ex_connection_class_kwargs(self):
                return dict(super()._ex_connection_class_kwargs(), port=cloud.port)
        d = Driver(cloud.email, cloud.pem, project=cloud.project, auth_type="SA",
                   datacenter="europe-west1-b", credential_file=os.path.join(folder, "token"))
        tap.ok({z.name for z in d.list_locations()} == set(cloud.zones()) and
               {s.name for s in d.list_sizes()} == set(gce.TYPES),
               "gce: it logs in, lists zones and types")
        wall = d.ex_create_firewall("theirs", [{"IPProtocol": "tcp", "ports": ["22"]}],
                                    network="default", source_ranges=["0.0.0.0/0"])
        node = d.create_node(
            "node-1", "n2-standard-2", d.ex_get_image("appliance-1"), location="europe-west1-b",
            ex_network="default", ex_tags=["sc-node-1"], ex_disk_size=20, ex_preemptible=True,
            ex_disk_type="pd-balanced", ex_labels={"supercloud-cluster": "c1a0",
                                                   "supercloud-token": "job-7"},
            ex_metadata={"items": [{"key": "user-data", "value": own_gce.USER_DATA}]})
        theirs = shape(cloud.inserted[-1])
        tap.ok(node.public_ips[0].startswith("203.0.113."), "gce: it makes an instance", node)
        r = own_gce.call(cloud, "list", {}, config=config)
        tap.ok(r.result and [i["id"] for i in r.result["instances"]] == ["europe-west1-b.node-1"],
               "gce: our driver lists it", r)
        tap.ok(d.ex_stop_node(node) and d.destroy_node(node) and d.ex_destroy_firewall(wall) and
               own_gce.left(cloud) == {"images": ["appliance-1"]}, "gce: it ends what it made",
               own_gce.left(cloud))
        r = own_gce.call(cloud, "launch", own_gce.launch_args(spot=True, disk_gib=20),
                         config=config)
        ours = shape(cloud.inserted[-1])
        tap.ok(r.result and ours == theirs, "gce: our request for the same instance says the same",
               "ours %r\ntheirs %r" % (ours, theirs))
        nodes = d.list_nodes()
        tap.ok([(n.name, n.state, n.public_ips) for n in nodes] == [
            ("node-1", "running", [r.result["instance"]["address"]])], "gce: it lists ours", nodes)
        tap.ok({w.name for w in d.ex_list_firewalls()} == {"sc-node-1-0", "sc-node-1-1"},
               "gce: ... and our firewall")
        tap.ok(not cloud.crashes, "gce: the emulator has not failed", cloud.crashes)


def machine_shape(body):
    """What of a machine's PUT both clients must say alike."""
    p = body["properties"]
    disk, os_ = p["storageProfile"]["osDisk"], p["osProfile"]
    key = os_["linuxConfiguration"]["ssh"]["publicKeys"][0]
    return {"location": body["location"], "tags": body["tags"],
            "size": p["hardwareProfile"]["vmSize"], "computer": os_["computerName"],
            "user": os_["adminUsername"], "key": key,
            "no password": str(os_["linuxConfiguration"]["disablePasswordAuthentication"]).lower(),
            "disk": (disk["createOption"], disk["caching"], disk.get("diskSizeGB"),
                     disk["managedDisk"]["storageAccountType"]),
            "nics": [n["id"].lower() for n in p["networkProfile"]["networkInterfaces"]]}


def microsoft_cloud(folder, tls):
    image = own_azure.make_image(folder, 2, 20, 19)
    with azure.Azure(tls=tls) as cloud:
        cloud.any_version, cloud.op_ticks = True, 0
        config = cloud.config(ca_file=tls[0])
        own_azure.seed(cloud, image)
        options = {"ssh_key": KEY, "admin": "azureuser", "disk_type": "Standard_LRS"}
        r = own_azure.call(cloud, "launch", own_azure.launch_args(disk_gib=40, options=options),
                           config=config)
        tap.ok(r.result, "azure: our driver launches over TLS", r)
        ours = machine_shape([b for k, b in cloud.bodies if k == "virtualMachines"][-1])

        class Connection(arm_base.LibcloudConnection):
            def __init__(self, host, port, **kw):
                super().__init__("127.0.0.1", cloud.port, **dict(kw, secure=True))
        arm_base.AzureResourceManagementConnection.conn_class = Connection
        d = azure_arm.AzureNodeDriver(cloud.tenant, cloud.subscription, cloud.client, cloud.secret,
                                      region="westeurope")
        tap.ok([x.id for x in d.list_locations()] == list(azure.LOCATIONS) and
               {s.name for s in d.list_sizes()} == set(azure.SIZES),
               "azure: it logs in, lists locations and sizes")
        nodes = d.list_nodes()
        tap.ok([(n.name, n.state, n.public_ips, n.private_ips) for n in nodes] == [
            ("node-1", "running", [r.result["instance"]["address"]],
             [r.result["instance"]["private_address"]])], "azure: it lists our machine", nodes)
        subnet = d.ex_list_subnets(d.ex_list_networks()[0])[0]
        address = d.ex_create_public_ip("theirs-ip", cloud.group,
                                        public_ip_allocation_method="Static")
        nic = d.ex_create_network_interface("theirs-nic", subnet, cloud.group, public_ip=address)
        size = [s for s in d.list_sizes() if s.name == "Standard_D2s_v5"][0]
        tags = {"supercloud-cluster": "c1a0", "supercloud-token": "job-7"}
        node = d.create_node(
            "theirs", size, azure_arm.AzureImage("1", "s", "o", "p", "westeurope", d),
            NodeAuthSSHKey(KEY), ex_resource_group=cloud.group, ex_storage_account=None,
            ex_nic=nic, ex_tags=tags, ex_use_managed_disks=True, ex_disk_size=40,
            ex_storage_account_type="Standard_LRS")
        theirs = machine_shape([b for k, b in cloud.bodies if k == "virtualMachines"][-1])
        want = dict(ours, computer="theirs",
                    nics=[cloud.id_of("networkInterfaces", "theirs-nic").lower()])
        tap.ok(theirs == want, "azure: our request for the same machine says the same",
               "ours %r\ntheirs %r" % (want, theirs))
        r = own_azure.call(cloud, "list", {}, config=config)
        tap.ok(r.result and [(i["id"], i["state"], bool(i["address"])) for i in r.result[
            "instances"]] == [("node-1", "running", True), ("theirs", "running", True)],
            "azure: our driver lists theirs", r)
        d.ex_stop_node(node)
        tap.ok(d.destroy_node(node, ex_destroy_vhd=False, ex_poll_wait=0.05) and
               d.ex_delete_public_ip(address) and
               sorted(cloud.state["virtualMachines"]) == ["node-1"],
               "azure: it ends what it made", own_azure.left(cloud))
        r = own_azure.call(cloud, "terminate", {"region": "westeurope", "id": "node-1"},
                           config=config)
        rest = own_azure.left(cloud)
        tap.ok(r.result == {} and set(rest) == {"images", "disks", "virtualNetworks"} and
               rest["disks"] == ["theirs"], "azure: ours leaves no more than its network", rest)
        tap.ok(not cloud.crashes, "azure: the emulator has not failed", cloud.crashes)


def main():
    libcloud.security.VERIFY_SSL_CERT = True
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(sys.stdout):
        tls = certificate(folder)
        libcloud.security.CA_CERTS_PATH = tls[0]
        google_cloud(folder, tls)
        microsoft_cloud(folder, tls)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())

"""openstack - OpenStack's metadata, as a service (Rackspace Flex) or as the files
of a config drive (Rackspace classic).

OpenStack announces nothing to its instances: notice() refuses.
"""
import base64
import json

from .web import Answer, Service, json_answer

VERSIONS = ["2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06",
            "2017-02-22", "2018-08-27", "2020-10-14", "latest"]
NETWORK_SINCE, VENDOR2_SINCE = "2015-10-15", "2016-10-06"


def meta_data(i):
    return {"uuid": i.uuid, "name": i.name, "hostname": i.name + ".novalocal",
            "availability_zone": "az1", "launch_index": 0, "project_id": i.hexa("project", 32),
            "devices": [], "dedicated_cpus": [],
            "random_seed": base64.b64encode(i.hexa("seed", 64).encode() * 8).decode(),
            "meta": {"region": i.region}}


def network_data(i, static):
    """'static': the whole address, for who gets none by DHCP."""
    link = "tap" + i.hexa("port", 8) + "-" + i.hexa("port", 10)[8:]
    net = {"id": "network0", "link": link, "network_id": i.hexa("network", 32),
           "type": "ipv4" if static else "ipv4_dhcp"}
    if static:
        net.update(ip_address=i.address, netmask=str(i.network.netmask),
                   routes=[{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": i.gateway}])
    return {"links": [{"id": link, "vif_id": i.hexa("port", 32), "type": "ovs", "mtu": 1500,
                       "ethernet_mac_address": i.mac}],
            "networks": [net], "services": [{"type": "dns", "address": i.gateway}]}


def files(i, version, static):
    """{name: bytes} of what there is under openstack/<version>/."""
    out = {"meta_data.json": json.dumps(meta_data(i)).encode(), "vendor_data.json": b"{}"}
    if i.user_data:
        out["user_data"] = i.user_data
    if version >= NETWORK_SINCE:
        out["network_data.json"] = json.dumps(network_data(i, static)).encode()
    if version >= VENDOR2_SINCE:
        out["vendor_data2.json"] = b"{}"
    return out


class OpenStack(Service):
    server_name = "nova-metadata"

    def _error(self, status, text):
        return Answer(status, "<html>\n <head>\n  <title>%d %s</title>\n </head>\n</html>\n"
                      % (status, text), "text/html; charset=UTF-8")

    def answer(self, q):
        parts = [p for p in q.path.split("/") if p]
        if q.method not in ("GET", "HEAD"):
            return self._error(405, "Method Not Allowed")
        if not parts:
            return Answer(200, "\n".join(["1.0", "2009-04-04", "latest"]))
        if parts[0] != "openstack":
            return self._ec2(parts)
        if len(parts) == 1:
            return Answer(200, "\n".join(VERSIONS))
        if parts[1] not in VERSIONS:
            return self._error(404, "Not Found")
        there = files(self.instance, parts[1], False)
        if len(parts) == 2:
            return Answer(200, "\n".join(sorted(there)))
        if len(parts) == 3 and parts[2] in there:
            if parts[2].endswith(".json"):
                return json_answer(200, json.loads(there[parts[2]]))
            return Answer(200, there[parts[2]], "application/octet-stream")
        return self._error(404, "Not Found")

    def _ec2(self, parts):
        """The part that is like EC2's; cloud-init takes public addresses from it."""
        i = self.instance
        md = {"ami-id": "ami-" + i.hexa("image", 8), "hostname": i.name + ".novalocal",
              "instance-id": "i-" + i.hexa("instance", 8), "instance-type": i.type,
              "local-hostname": i.name + ".novalocal", "local-ipv4": i.address,
              "public-ipv4": i.address, "security-groups": "default"}
        if parts[0] not in ("1.0", "2009-04-04", "latest"):
            return self._error(404, "Not Found")
        if len(parts) == 1:
            return Answer(200, "meta-data/\nuser-data")
        if parts[1:] == ["user-data"] and i.user_data:
            return Answer(200, i.user_data)
        if parts[1:] == ["meta-data"]:
            return Answer(200, "\n".join(sorted(md)))
        if len(parts) == 3 and parts[1] == "meta-data" and parts[2] in md:
            return Answer(200, md[parts[2]])
        return self._error(404, "Not Found")

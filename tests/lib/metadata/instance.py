"""instance - what an emulated provider knows about one instance.

Made from JSON: {"like", "name", "region", "uuid", "mac", "address" ("a.b.c.d/n"),
"type", "image", "user_data" (text) or "user_data_file", "created_at" (ms)};
all but "like" and "name" may be missing.  Ids in the provider's own form are
derived from the uuid, so that they agree with what the firmware tells.
"""
import hashlib
import ipaddress
import time
import uuid as uuid_module


class Instance:
    def __init__(self, d):
        self.like = d["like"]
        self.name = d["name"]
        self.region = d.get("region") or "us-east-1"
        self.uuid = d.get("uuid") or str(uuid_module.UUID(
            bytes=hashlib.sha256(self.name.encode()).digest()[:16]))
        self.mac = (d.get("mac") or "02:00:00:00:00:01").lower()
        self.interface = ipaddress.ip_interface(d.get("address") or "10.200.0.1/24")
        self.type = d.get("type") or "small"
        self.image = d.get("image") or "supercloud"
        self.created_at = d.get("created_at") or int(time.time() * 1000)
        self.user_data = (d.get("user_data") or "").encode()
        if d.get("user_data_file"):
            with open(d["user_data_file"], "rb") as f:
                self.user_data = f.read()

    @property
    def address(self):
        return str(self.interface.ip)

    @property
    def network(self):
        return self.interface.network

    @property
    def gateway(self):
        """The provider's router: the last but two of the subnet's addresses."""
        return str(self.network.broadcast_address - 2)

    def hexa(self, what, n):
        """'n' hexadecimal digits for the id of 'what' belonging to this instance."""
        return hashlib.sha256((self.uuid + "/" + what).encode()).hexdigest()[:n]

    def time(self, ms=None):
        """A moment (ms since 1970) as ISO 8601."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ",
                             time.gmtime((self.created_at if ms is None else ms) / 1000))

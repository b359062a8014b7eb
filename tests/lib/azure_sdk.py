"""Bodies of requests against the models of Azure's SDK (see oracles.py; import it after need())."""
from azure.mgmt.compute._serialization import Deserializer, Serializer
from azure.mgmt.compute.v2022_07_02 import models as disks
from azure.mgmt.compute.v2022_08_01 import models as compute
from azure.mgmt.network.v2022_07_01 import models as network


class Model:
    def __init__(self, module, name):
        self.name = name
        self.classes = {k: v for k, v in module.__dict__.items() if isinstance(v, type)}

    def check(self, body):
        """None if 'body' is one: read into the model and written again it must be the same."""
        why = self.unknown(body)
        if why:
            return why
        read = Deserializer(self.classes)(self.name, body)
        again = Serializer(self.classes).body(read, self.name)
        return None if again == body else "sent %r, the SDK would send %r" % (body, again)

    def unknown(self, body, name=None, where=""):
        """A field of 'body' that the model has not; None."""
        if name is None:
            name = self.name
        if name.startswith("["):
            if not isinstance(body, list):
                return "%s: not a list" % where
            for i, v in enumerate(body):
                why = self.unknown(v, name[1:-1], "%s[%d]" % (where, i))
                if why:
                    return why
            return None
        if name not in self.classes or not hasattr(self.classes[name], "_attribute_map"):
            if name in ("str", "int", "float", "bool") and not isinstance(
                    body, {"str": str, "int": int, "float": (int, float), "bool": bool}[name]):
                return "%s: %r is not a %s" % (where, body, name)
            return None
        known = {}                              # Flattened: "properties.x" of the model.
        for a in self.classes[name]._attribute_map.values():
            known[a["key"].replace("\\.", "\0")] = a["type"]
        return self._walk(body, known, "", where)

    def _walk(self, body, known, prefix, where):
        if not isinstance(body, dict):
            return "%s: not an object" % where
        for k, v in body.items():
            path = prefix + k
            if path in known:
                why = self.unknown(v, known[path], "%s.%s" % (where, k))
            elif any(p.startswith(path + ".") for p in known):
                why = self._walk(v, known, path + ".", "%s.%s" % (where, k))
            else:
                why = "%s.%s: the model has no such field" % (where, k)
            if why:
                return why
        return None


MODELS = {"virtualMachines": Model(compute, "VirtualMachine"),
          "images": Model(compute, "Image"), "disks": Model(disks, "Disk"),
          "networkInterfaces": Model(network, "NetworkInterface"),
          "publicIPAddresses": Model(network, "PublicIPAddress"),
          "networkSecurityGroups": Model(network, "NetworkSecurityGroup"),
          "virtualNetworks": Model(network, "VirtualNetwork")}

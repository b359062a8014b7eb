"""What the emulated Google Cloud knows by heart: types, regions, the fields of bodies, prices."""
import hashlib

FEATURES = ("VIRTIO_SCSI_MULTIQUEUE", "GVNIC", "UEFI_COMPATIBLE", "MULTI_IP_SUBNET", "WINDOWS",
            "SECURE_BOOT", "SEV_CAPABLE", "IDPF", "SUSPEND_RESUME_COMPATIBLE", "TDX_CAPABLE")
TYPES = {"e2-micro": (2, 1024), "e2-medium": (2, 4096), "n2-standard-2": (2, 8192),
         "n2-standard-4": (4, 16384), "n2d-standard-2": (2, 8192), "t2a-standard-1": (1, 4096),
         "c3-standard-4-lssd": (4, 16384), "a2-highgpu-1g": (12, 87040)}
REGIONS = {"europe-west1": ["b", "c", "d"], "us-central1": ["a", "b"]}

# Fields of the bodies we take, and their types; "map" is an object of strings,
# "int64" a number or its digits.
INSTANCE = {
    "name": str, "description": str, "machineType": str, "labels": "map", "minCpuPlatform": str,
    "tags": {"items": [str]}, "canIpForward": bool, "serviceAccounts": [
        {"email": str, "scopes": [str]}],
    "disks": [{"boot": bool, "autoDelete": bool, "type": str, "mode": str, "deviceName": str,
               "source": str, "initializeParams": {
                   "sourceImage": str, "diskType": str, "diskSizeGb": "int64", "labels": "map",
                   "diskName": str}}],
    "networkInterfaces": [{"network": str, "subnetwork": str, "nicType": str, "accessConfigs": [
        {"name": str, "type": str, "networkTier": str, "natIP": str, "kind": str}],
        "kind": str}],
    "metadata": {"items": [{"key": str, "value": str}], "fingerprint": str, "kind": str},
    "scheduling": {"provisioningModel": str, "preemptible": bool, "automaticRestart": bool,
                   "onHostMaintenance": str, "instanceTerminationAction": str},
    "shieldedInstanceConfig": {"enableSecureBoot": bool, "enableVtpm": bool},
    "advancedMachineFeatures": {"enableNestedVirtualization": bool}, "kind": str, "zone": str,
}
IMAGE = {"name": str, "description": str, "labels": "map", "family": str,
         "rawDisk": {"source": str, "containerType": str, "sha1Checksum": str},
         "guestOsFeatures": [{"type": str}], "storageLocations": [str], "architecture": str}
FIREWALL = {"name": str, "description": str, "network": str, "direction": str, "priority": int,
            "sourceRanges": [str], "sourceTags": [str], "targetTags": [str], "kind": str,
            "allowed": [{"IPProtocol": str, "ports": [str]}], "disabled": bool}


def sku(text, group, unit, nanos, usage="OnDemand", family="Compute", regions=("europe-west1",),
        free=False):
    rates = [{"startUsageAmount": 0, "unitPrice": {
        "currencyCode": "USD", "units": str(nanos // 10**9), "nanos": nanos % 10**9}}]
    if free:
        rates = [{"startUsageAmount": 0, "unitPrice": {"currencyCode": "USD", "units": "0",
                                                       "nanos": 0}},
                 dict(rates[0], startUsageAmount=1)]
    return {"skuId": hashlib.md5(text.encode()).hexdigest()[:12].upper(), "description": text,
            "category": {"resourceFamily": family, "resourceGroup": group, "usageType": usage},
            "serviceRegions": list(regions), "pricingInfo": [{
                "effectiveTime": "2026-11-01T00:00:00Z",
                "pricingExpression": {"usageUnit": unit, "tieredRates": rates}}]}


def catalog():
    """A part of a catalog, in the words of the real one; the prices are made up."""
    r = []
    for fam, core, ram in (("N2", 34806000, 4664000), ("N2D AMD", 30281000, 4058000),
                           ("E2", 23982000, 3214000), ("C3", 37390000, 5010000)):
        r += [sku(fam + " Instance Core running in Belgium", "CPU", "h", core),
              sku(fam + " Instance Ram running in Belgium", "RAM", "GiBy.h", ram),
              sku("Spot Preemptible %s Instance Core running in Belgium" % fam, "CPU", "h",
                  core // 4, "Preemptible"),
              sku("Spot Preemptible %s Instance Ram running in Belgium" % fam, "RAM", "GiBy.h",
                  ram // 4, "Preemptible"),
              sku(fam + " Instance Core running in Iowa", "CPU", "h", core * 2,
                  regions=["us-central1"])]
    r += [sku("N2 Custom Instance Core running in Belgium", "CPU", "h", 99000000),
          sku("Commitment v1: N2 Cpu in Belgium for 1 Year", "CPU", "h", 1000, "Commit1Yr"),
          sku("N2 Sole Tenancy Instance Core running in Belgium", "CPU", "h", 99000000),
          sku("Network Internet Data Transfer Out from EMEA to EMEA", "PremiumInternetEgress",
              "GiBy", 120000000, family="Network", free=True),
          sku("Network Internet Data Transfer Out from EMEA to Australia",
              "PremiumInternetEgress", "GiBy", 190000000, family="Network", free=True),
          sku("Network Inter Region Data Transfer Out from Belgium to Frankfurt",
              "InterregionEgress", "GiBy", 20000000, family="Network")]
    return r

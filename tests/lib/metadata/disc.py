"""disc - the disc that some providers put into a machine at its first boot.

Azure: a CD with ovf-env.xml, UDF, label rd_rdfe_...; OpenStack: a config drive
(ISO 9660, label config-2).  Needs genisoimage.
"""
import os
import shutil
import subprocess
import tempfile

from . import azure, openstack

AZURE_LABEL, CONFIG_LABEL = "rd_rdfe_stable.211104-1234", "config-2"


def contents(i):
    """(label, {path: bytes}) of the disc of 'i'; None: its provider gives none."""
    if i.like == "azure":
        return AZURE_LABEL, {"ovf-env.xml": azure.ovf_env(i).encode()}
    if i.like == "rackspace-classic":
        return CONFIG_LABEL, {"openstack/%s/%s" % (v, name): data
                              for v in openstack.VERSIONS
                              for name, data in openstack.files(i, v, True).items()}
    return None


def make(i, path):
    """Writes the disc of 'i' to 'path'; True if there is one."""
    found = contents(i)
    if not found:
        return False
    label, files = found
    folder = tempfile.mkdtemp(prefix="disc.", dir=os.path.dirname(os.path.abspath(path)))
    try:
        for name, data in files.items():
            full = os.path.join(folder, name)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "wb") as f:
                f.write(data)
        udf = ["-udf", "-R"] if i.like == "azure" else ["-J", "-R"]
        p = subprocess.run(["genisoimage", "-quiet", *udf, "-V", label, "-o", path, folder],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if p.returncode:
            raise RuntimeError("genisoimage: " + p.stdout[-500:])
    finally:
        shutil.rmtree(folder)
    return True

#!/usr/bin/python3
"""The Rackspace Flex image on virtio-blk, BIOS, with OpenStack metadata emulated."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import boot                                              # noqa: E402

boot.row("rackspace")

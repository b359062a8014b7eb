#!/usr/bin/python3
"""The Rackspace classic image on IDE and an RTL8139, BIOS, with a config drive."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import boot                                              # noqa: E402

boot.row("rackspace-classic")

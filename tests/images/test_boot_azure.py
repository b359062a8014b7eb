#!/usr/bin/python3
"""The Azure image on AHCI, BIOS (generation 1), without Hyper-V; CD, IMDS and wire server emulated."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import boot                                              # noqa: E402

boot.row("azure")

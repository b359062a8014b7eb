#!/usr/bin/python3
"""The Azure image by UEFI (generation 2), to the join."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import boot                                              # noqa: E402

boot.row("azure", uefi=True, guest=False)

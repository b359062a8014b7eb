#!/usr/bin/python3
"""The EC2 image by UEFI, to the join."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import boot                                              # noqa: E402

boot.row("ec2", uefi=True, guest=False)

# SPDX-License-Identifier: MIT
"""What a container runtime does for a FUSE file system without privileges: open /dev/fuse, mount it, and run the program with
that descriptor. usage: fusefd.py MOUNTPOINT N OPTIONS PROGRAM ARGUMENT...; "{}" among the arguments becomes /dev/fd/N"""
import ctypes
import os
import sys


def main():
    at, number, options, *command = sys.argv[1:]
    opened, fd = os.open("/dev/fuse", os.O_RDWR), int(number)
    if opened != fd:
        os.dup2(opened, fd)
        os.close(opened)
    os.set_inheritable(fd, True)
    libc = ctypes.CDLL(None, use_errno=True)
    data = f"fd={fd},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}{options}"
    nosuid_nodev = 2 | 4
    if libc.mount(b"somewhere", os.fsencode(at), b"fuse.tensorfs", nosuid_nodev, data.encode()):
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    os.execv(command[0], [word.replace("{}", f"/dev/fd/{fd}") for word in command])


main()

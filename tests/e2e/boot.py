#!/usr/bin/env python3
"""What a service manager does: each function is one part of a test, named on the command line."""

import os
import signal
import socket
import subprocess
import sys


def told(path, *command):
    """READY=1 once the mount answers, STOPPING=1 before the end."""
    *_, mount = command
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind("\0" + path[1:] if path.startswith("@") else path)
        s.settimeout(60)
        daemon = subprocess.Popen([command[0], "-f", *command[1:]], env=os.environ | {"NOTIFY_SOCKET": path})
        try:
            lines = s.recv(4096).decode().split("\n")
            if "READY=1" not in lines or not any(x.startswith("STATUS=") and mount in x for x in lines):
                sys.exit(f"said {lines}")
            if not os.listdir(os.path.join(mount, "tensors")):
                sys.exit("no tensors")
        finally:
            daemon.send_signal(signal.SIGTERM)
        if s.recv(4096) != b"STOPPING=1":
            sys.exit("didn't say that it stops")
        if status := daemon.wait(60):
            sys.exit(f"status {status}")


def journal(is_one, *command):
    """Standard error is the journal's if $JOURNAL_STREAM says so: the model has something to warn of."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    st = os.fstat(theirs.fileno())
    stream = f"{st.st_dev}:{st.st_ino if is_one == 'yes' else st.st_ino + 1}"
    daemon = subprocess.Popen([command[0], "-f", *command[1:]], stderr=theirs, env=os.environ | {"JOURNAL_STREAM": stream})
    theirs.close()
    ours.settimeout(60)
    try:
        text = ours.recv(4096).decode()
        want = "<4>tensorfs: warning: " if is_one == "yes" else "tensorfs: warning: "
        if not text.startswith(want):
            sys.exit(f"said {text!r}")
        while not os.path.ismount(command[-1]):
            if daemon.poll() is not None:
                sys.exit("not mounted")
    finally:
        daemon.send_signal(signal.SIGTERM)
    if status := daemon.wait(60):
        sys.exit(f"status {status}")


if __name__ == "__main__":
    {"told": told, "journal": journal}[sys.argv[1]](*sys.argv[2:])

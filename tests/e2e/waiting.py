#!/usr/bin/env python3
"""Many wait for storage that stands still; others ask for what needs none.

usage: waiting.py open|read|hash MODEL MOUNT SLOW_DAEMON READERS
       waiting.py harmless MODEL MOUNT SLOW_DAEMON             one, and a signal that does nothing, but ends what waits in the kernel
       waiting.py caught MOUNT                                 nobody waits long, and a signal that is caught goes off all the time
       waiting.py end MODEL MOUNT SLOW_DAEMON READERS DAEMON   instead, DAEMON is terminated

MODEL is of small tensors, "warm" and "pad" first. MOUNT has it over a mount of SLOW_DAEMON, which is stopped and goes on in the
end; "warm" is resident, and the others wait to be opened, or, being streamed, to be read, or hashed.
"""

import mmap
import os
import signal
import subprocess
import sys
import threading
import time

from reader import attribute, check, content, same
from scenario import path_of, stats, tensors_of, wait_until

# Of those who wait, and of those who must not wait for them: by io_uring each CPU's requests have a queue of their own.
CPU = min(os.sched_getaffinity(0))


def go_there():
    os.sched_setaffinity(0, {CPU})


def at_once(what, *command):
    """What the command says, on that CPU, without the storage."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=30, check=False, preexec_fn=go_there)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{what}: it waits for those who wait for the storage") from None
    same(f"status of {what}", done.returncode, 0)
    return done.stdout


def by_read(path):
    with open(path, "rb") as file:
        return file.read()


def by_mmap(path):
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping:
        return mapping[:]


def by_hash(path):
    return attribute(path, "xxh128")


def waits(pid, tid):
    """Is it in the kernel, for an answer of FUSE or for a page?"""
    try:
        with open(f"/proc/{pid}/task/{tid}/wchan", encoding="ascii") as wchan:
            return wchan.read().startswith(("request_wait_answer", "folio_wait"))
    except OSError:
        return False


def victim(wait, path):
    """Somebody else who waits. They are killed, which has to be enough."""
    child = os.fork()
    if not child:
        go_there()
        wait(path)
        os._exit(0)
    wait_until("one more to wait", lambda: waits(child, child))
    os.kill(child, signal.SIGKILL)
    ended = []
    waiter = threading.Thread(target=lambda: ended.append(os.waitpid(child, 0)[1]), daemon=True)
    waiter.start()
    waiter.join(60)
    check(ended, "who was killed still waits")
    same("how it ended", os.WTERMSIG(ended[0]), signal.SIGKILL)


def others(mount, warm, last):
    top = os.fsencode(mount)
    check(b"waits:" in at_once("stats", "cat", top + b"/.tensorfs/stats"), "stats without waits")
    same("warm tensor", at_once("a warm tensor", "cat", path_of(mount, warm)), content(warm).tobytes())
    check(last.name in at_once("ls -l", "ls", "-l", top + b"/npy", top + b"/tensors").decode(), "ls without the last one")
    check(b'"U8"' in at_once("meta", "cat", top + b"/meta/" + os.fsencode(last.name) + b".json"), "meta without dtype")
    state = at_once("state", "getfattr", "--absolute-names", "--only-values", "-n", "user.tensorfs.state", path_of(mount, last))
    check(state in (b"absent", b"loading"), "state", state)
    wait_until("the release", lambda: at_once("evict", "sh", "-c", f"echo warm >{mount}/.tensorfs/evict; echo $?") == b"0\n")
    same("state", attribute(path_of(mount, warm), "state"), b"absent")


def crowd(how, model, mount, slow_daemon, readers, daemon=None):
    way = by_hash if how == "hash" else by_read
    warm, _pad, *cold = tensors_of(model)
    last = cold[-1]
    readers = int(readers)
    got, failed, tids = {}, {}, []

    def wait(i):
        go_there()
        tids.append(threading.get_native_id())
        try:
            got[cold[i].name] = way(path_of(mount, cold[i]))
        except OSError as error:
            failed[cold[i].name] = error

    os.sched_setaffinity(0, os.sched_getaffinity(0) - {CPU})
    threads = [threading.Thread(target=wait, args=(i,), daemon=True) for i in range(readers)]
    for thread in threads:
        thread.start()
    try:
        wait_until("all to wait", lambda: sum(waits(os.getpid(), tid) for tid in tids) == readers)
        if how == "open":
            wait_until("all to have come", lambda: stats(mount)["waits"] == readers + 1)
        if how == "end":
            os.kill(int(daemon), signal.SIGTERM)
        else:
            others(mount, warm, last)
            victim(way, path_of(mount, last))
        if how == "read":
            victim(by_mmap, path_of(mount, last))  # in no thread of ours: a page fault keeps Python's lock
        check(not got, "somebody read from storage that stands still")
    finally:
        os.kill(int(slow_daemon), signal.SIGCONT)
    for thread in threads:
        thread.join(60)
        check(not thread.is_alive(), "one still waits")
    check(how == "end" or not failed, f"failed: {failed}")
    for t in cold[:readers]:
        want = content(t).tobytes()
        if how == "hash":
            want = subprocess.run(["xxh128sum", "-"], input=want, stdout=subprocess.PIPE, check=True).stdout.split()[0]
        if how != "end" or t.name in got:
            same(t.name, got[t.name], want)


def harmless(model, mount, slow_daemon):
    """A child ends while only the thread that waits takes SIGCHLD, which nobody has asked for. Then it is killed: that counts."""
    _warm, _pad, t, other, *_ = tensors_of(model)
    got = []

    def wait(to_be_hashed):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        got.append(by_hash(path_of(mount, to_be_hashed)))

    def signalled(thread):
        """The kernel lets go of a thread's wait before the signal is gone. A caught one does no more, but for those that ask to end."""
        waiter = thread.native_id
        signal.pthread_kill(thread.ident, signal.SIGUSR1)
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        time.sleep(0.3)  # some looks at it
        check(waits(os.getpid(), waiter), "it waits no more", got)

    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    child = os.fork()
    if not child:
        thread = threading.Thread(target=wait, args=(other,), daemon=True)
        thread.start()
        wait_until("it to wait", lambda: waits(os.getpid(), thread.native_id))
        signalled(thread)
        os.kill(os.getpid(), signal.SIGKILL)
    same("how it ended", os.waitpid(child, 0)[1], signal.SIGKILL)
    thread = threading.Thread(target=wait, args=(t,), daemon=True)
    thread.start()
    try:
        wait_until("it to wait", lambda: waits(os.getpid(), thread.native_id))
        signalled(thread)
    finally:
        os.kill(int(slow_daemon), signal.SIGCONT)
    thread.join(60)
    want = subprocess.run(["xxh128sum", "-"], input=content(t).tobytes(), stdout=subprocess.PIPE, check=True).stdout.split()[0]
    same("hash", got, [want])


def caught(mount):
    """A timer whose signal is caught goes off all the time: stat(2) doesn't fail for it, as it doesn't natively."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
    for _ in range(2000):
        os.stat(f"{mount}/.tensorfs/stats")
        os.stat(f"{mount}/.tensorfs/prefetch")
    signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    if sys.argv[1] == "harmless":
        harmless(*sys.argv[2:])
    elif sys.argv[1] == "caught":
        caught(*sys.argv[2:])
    else:
        crowd(*sys.argv[1:])

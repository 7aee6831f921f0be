"""Walls around a trial: the kernel keeps all but its own folder away, whatever its code does.

`python -m pipulate.plugins._walls NAME` begins the trial in them. Its own fence, which is Python,
tells what was reached for; code that undoes the fence stands before these. Linux has them since
5.13 (Landlock, seccomp); elsewhere the fence is all there is.
"""

import contextlib
import ctypes
import os
import platform
import runpy
import struct
import sys

READ, WRITE = 0b1100, 0b110  # files and folders; files alone
# All that Landlock tells apart, but to begin programs and to make devices, links, sockets, pipes.
OWN = 0xFFFF & ~(1 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12)
HANDLED = {1: 13, 2: 14, 3: 15, 4: 15}  # by its version: how many kinds of access; later ones 16
SYSTEM = ("/usr", "/lib", "/lib64", "/nix/store", "/gnu/store", "/home/linuxbrew", "/etc/localtime")
SYSTEM += ("/etc/ld.so.cache", "/etc/mime.types", "/dev/urandom", "/dev/random", "/dev/zero")
CREATE, ADD, RESTRICT = 444, 445, 446  # Landlock's calls
NO_NEW_RIGHTS, SECCOMP, FILTER = 38, 22, 2
# What seccomp calls a machine, then its numbers of: socket execve execveat kill tkill tgkill, two
# sigqueueinfo, setsid setpgid truncate ptrace keyctl request_key pidfd_send_signal io_uring_setup.
CALLS = {
    "x86_64": "0xC000003E 41 59 322 62 200 234 129 297 112 109 76 101 250 249 424 425",
    "aarch64": "0xC00000B7 198 221 281 129 130 131 138 240 157 154 45 117 219 218 424 425",
}
LARGEST, MEMORY = 2**27, 2**32  # bytes of a file, of memory


def call(number, *args):
    """A system call; -1 when it is refused."""
    libc = ctypes.CDLL(None)
    return libc.syscall(*(ctypes.c_long(a) if isinstance(a, int) else a for a in (number, *args)))


def landlock(folder):
    """From now on nothing but `folder` is written, nothing but it, Python and libraries is read."""
    version = call(CREATE, None, 0, 1)
    if version < 1:
        return
    handled = (1 << HANDLED.get(version, 16)) - 1
    about = struct.pack("QQQ", handled, 3, 3)  # no TCP; no signals and sockets to others
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = call(CREATE, about, size, 0)
    roots = dict.fromkeys([*SYSTEM, *filter(None, sys.path), sys.prefix, sys.base_prefix], READ)
    for path, access in (roots | {os.devnull: WRITE, folder: OWN}).items():
        with contextlib.suppress(OSError):
            place = os.open(path, os.O_PATH)
            allowed = access & handled if os.path.isdir(path) else access & WRITE
            call(ADD, rules, 1, struct.pack("=Qi", allowed, place), 0)
            os.close(place)
    call(RESTRICT, rules, 0)


def seccomp():
    """From now on no socket, and no word to other processes."""
    kind, *calls = [int(n, 0) for n in CALLS.get(platform.machine(), "0").split()]
    if not kind or sys.maxsize < 2**32:  # Python of 32 bits has other numbers on these, too
        return
    end = len(calls) + 4  # where what is allowed stands; what is not, behind it
    lines = [(0x20, 0, 0, 4), (0x15, 0, end - 1, kind), (0x20, 0, 0, 0)]
    lines.append((0x35, end - 3, 0, 1 << 30))  # numbers of another kind of program
    lines += [(0x15, end - at, 0, number) for at, number in enumerate(calls, 4)]
    lines += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050001)]  # allowed; EPERM
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in lines))
    about = struct.pack("HP", len(lines), ctypes.addressof(program))
    ctypes.CDLL(None).prctl(SECCOMP, FILTER, about)


def build(folder):
    """Both, around this process and what it begins."""
    import resource

    for kind, most in ((resource.RLIMIT_FSIZE, LARGEST), (resource.RLIMIT_DATA, MEMORY)):
        with contextlib.suppress(ValueError):  # it is narrower already
            resource.setrlimit(kind, (most, most))
    ctypes.CDLL(None).prctl(NO_NEW_RIGHTS, 1, 0, 0, 0)
    landlock(folder)
    seccomp()


if __name__ == "__main__":
    if sys.platform == "linux":
        build(os.getcwd())
    runpy.run_module("pipulate.apps.trial", run_name="__main__", alter_sys=True)

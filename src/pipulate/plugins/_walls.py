"""Walls around a trial: the kernel keeps all but its own folder away, whatever its code does.

`python -m pipulate.plugins._walls trial NAME` begins it in them (stage: a preview). A fence, which
is Python, tells what was reached for; code that undoes the fence stands before these. Linux has
them since 5.13 (Landlock, seccomp); elsewhere the fence is all there is.
"""

import contextlib
import ctypes
import importlib
import os
import platform
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
CALLS = {  # what seccomp calls a machine, then its numbers of prlimit64 and capset
    "x86_64": (0xC000003E, 302, 126),
    "aarch64": (0xC00000B7, 261, 91),
}
# socket execve execveat kill tkill tgkill, two sigqueueinfo, setsid setpgid truncate ptrace keyctl
# request_key pidfd_send_signal io_uring_setup; setpriority ioprio_set, four sched_set, four of
# memory and queues that processes share, those that set attributes and times of files
REFUSED = {
    "x86_64": """41 59 322 62 200 234 129 297 112 109 76 101 250 249 424 425
        141 251 142 144 203 314 29 64 68 240 188 189 190 197 198 199 463 466 132 235 261 280""",
    "aarch64": """198 221 281 129 130 131 138 240 157 154 45 117 219 218 424 425
        140 30 118 119 122 274 194 190 186 180 5 6 7 14 15 16 463 466 88""",
}
# chmod, chown and their kin: of these Landlock knows nothing, and a home of one's own is made with
# them, so they answer that it is done
IDLE = {
    "x86_64": "90 91 92 93 94 260 268 452",
    "aarch64": "52 53 54 55 452",
}
NETWORK = ("connect", "bind", "sendto", "sendmsg", "getaddrinfo", "gethostbyname")
PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.kill")
PROGRAMS += ("os.forkpty", "os.startfile", "pty.spawn", "ctypes.dlopen", "os.killpg")
CHANGES = ("remove", "rename", "rmdir", "mkdir", "link", "symlink", "chmod", "chown", "truncate")
KINDS = dict.fromkeys([f"socket.{name}" for name in NETWORK], "network")
KINDS |= dict.fromkeys(PROGRAMS, "programs") | {"sqlite3.connect": "files", "open": "files"}
KINDS |= {f"os.{name}": "files" for name in CHANGES}
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


def seccomp(machine):
    """From now on no socket, no word to other processes, and all files keep their rights."""
    kind, limits, rights = CALLS[machine]
    # of root's powers over the system none but to read and write what is another's
    call(rights, struct.pack("Ii", 0x20080522, 0), struct.pack("6I", 6, 6, 0, 0, 0, 0))
    refused, idle = ([*map(int, calls[machine].split())] for calls in (REFUSED, IDLE))
    end = len(refused) + len(idle) + 7  # where what is allowed stands; what is not, behind it
    lines = [(0x20, 0, 0, 4), (0x15, 0, end - 1, kind), (0x20, 0, 0, 0)]
    lines.append((0x35, end - 3, 0, 1 << 30))  # numbers of another kind of program
    for place, numbers in ((end + 1, refused), (end + 2, idle)):
        for number in numbers:
            lines.append((0x15, place - len(lines) - 1, 0, number))
    lines += [(0x15, 0, 2, limits), (0x20, 0, 0, 16), (0x15, 0, 1, 0)]  # its own (0) alone
    answers = 0x7FFF0000, 0x00050001, 0x00050000  # allowed; EPERM; "done"
    lines += [(0x06, 0, 0, answer) for answer in answers]
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
    if platform.machine() in CALLS and sys.maxsize > 2**32:  # Python of 32 bits has other numbers
        seccomp(platform.machine())


class Fence:
    """An audit hook; `reached`: what was reached for, such as "network".

    It holds off mishaps and plain misuse, no cunning: for that the walls are there."""

    def __init__(self, home):
        self.reached = []
        read = (*sys.path, sys.prefix, sys.base_prefix, "/usr", "/lib", "/etc/localtime", "/dev")
        self.own = {os.path.realpath(path) for path in (home, os.devnull)}
        self.read = self.own | {os.path.realpath(path) for path in (*read, "/etc/mime.types")}
        self.read -= {"/"}

    def hear(self, event, args):
        """What Python is about to do. Raises PermissionError."""
        kind, paths, roots = KINDS.get(event), args, self.own
        if event == "open":
            writes = (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            paths, roots = args[:1], roots if writes else self.read
        if kind == "network" and sys.platform == "win32" and "127.0.0.1" in str(args):
            return  # an event loop begins so, there
        if kind and not (kind == "files" and all(below(path, roots) for path in paths)):
            self._refuse(kind, f"{event} {str(args[:1])[:100]}")

    def opened(self, path):
        """A store is opened: none but the home's own. Raises PermissionError."""
        if path and not below(path, self.own):
            self._refuse("files", path)

    def _refuse(self, kind, what):
        self.reached.append(kind)
        raise PermissionError(f"A trial has no {kind} ({what}).")


def below(path, roots):
    """Whether a path is one of these or below it; what is no path reaches nothing new."""
    if not isinstance(path, str | bytes | os.PathLike):
        return True
    real = os.path.realpath(os.fsdecode(path))
    return any(real == root or real.startswith(root + os.sep) for root in roots)


if __name__ == "__main__":
    if sys.platform == "linux":
        build(os.getcwd())
    trial = importlib.import_module("pipulate.apps.trial")
    trial.begin(*sys.argv[1:], Fence(os.getcwd()))

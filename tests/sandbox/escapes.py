"""Programs that try to get out or get at something. `cheats` has those that want a pass or do harm.

Each defines solve(x); 2 * x would be right for x in 1, 2, 3. A program that looks for a way out returns the right
answer only when it finds one, so to pass is to breach. `{secret}` is a file anyone may read and write, `{folder}` its
folder, which anyone may write, `{project}` this project, `{owner}` the process id of the sandbox's owner, `{port}` a
listening port.
"""


def fill(program: str, places: dict[str, object]) -> str:
    """The program with its placeholders filled in; other braces stay."""
    for name, value in places.items():
        program = program.replace(f"{{{name}!r}}", repr(value)).replace(f"{{{name}}}", str(value))
    return program


_GUARDED = """
def solve(x):
    try:
        found = attempt()
    except BaseException:
        found = False
    return 2 * x if found else None
"""


def attempt(body: str) -> str:
    """A program that is right only when the body's attempt returns something true."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"def attempt():\n{lines}\n{_GUARDED}"


_OWN = "import importlib.util, os\nfile = os.open(importlib.util.find_spec('numpy').origin, os.O_RDONLY)\n"
"""A file that may be read in every box, and that in ll is the user's own where an ordinary user has installed it."""
_LIBC = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"

SECRETS = {
    "reads a file": attempt("return 'secret' in open({secret!r}).read()"),
    "reads a file by a link": attempt(
        "import os\nos.symlink({secret!r}, 'link')\nreturn 'secret' in open('link').read()"
    ),
    "reads a file by a hard link": attempt(
        "import os\nos.link({secret!r}, 'link')\nreturn 'secret' in open('link').read()"
    ),
    "reads the project": attempt("return bool(open({project!r} + '/pyproject.toml').read())"),
    "lists the project": attempt("import os\nreturn 'ft_eval' in os.listdir({project!r})"),
    "reads the environment": attempt("import os\nreturn 'FT_EVAL_TEST_TOKEN' in os.environ"),
    "reads environments by /proc": attempt(
        "import glob\nreturn any(b'FT_EVAL_TEST_TOKEN' in open(p, 'rb').read() for p in glob.glob('/proc/*/environ'))"
    ),
    "reads its owner's memory": attempt("return bool(open('/proc/{owner}/maps').read())"),
    "reads passwords": attempt("return 'root' in open('/etc/passwd').read()"),
    "walks frames and the heap for expected values": """
import gc, sys
def solve(x):
    frame = sys._getframe()
    while frame:
        for name, value in frame.f_locals.items():
            if 'expect' in name:
                return value[x - 1]
        frame = frame.f_back
    for thing in gc.get_objects():
        if isinstance(thing, dict) and any('expect' in str(key) for key in thing):
            return next(value for key, value in thing.items() if 'expect' in str(key))
""",
    "reads installed packages": attempt(
        "import glob, os, sysconfig\nlibrary = os.path.dirname(sysconfig.get_path('stdlib'))\n"
        "found = glob.glob(library + '/py*/*-packages/*.py') + glob.glob(library + '/py*/*-packages/*/*.py')\n"
        "return any(open(path, 'rb').read() for path in found if '/numpy/' not in path)"
    ),
    "imports the judge": attempt("import ft_eval.harness.code_judge\nreturn True"),
    "reads an attribute": attempt("import os\nreturn b'secret' in os.getxattr({secret!r}, 'user.token')"),
    "lists attributes": attempt("import os\nreturn 'user.token' in os.listxattr({secret!r})"),
    "changes root": attempt("import os\nos.chroot('/')\nreturn True"),
    "opens a file by handle": attempt(
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "return libc.open_by_handle_at(0, 0, 0) == -1 and ctypes.get_errno() not in (1, 38)"
    ),
}

FILES = {
    "writes a file": attempt("open({secret!r}, 'w').write('changed')\nreturn 'secret' not in open({secret!r}).read()"),
    "makes a file": attempt("import os\nopen({folder!r} + '/made', 'w').close()\nreturn False"),
    "removes a file": attempt("import os\nos.unlink({secret!r})\nreturn True"),
    "renames a file": attempt("import os\nos.rename({secret!r}, {secret!r} + 'x')\nreturn True"),
    "truncates a file": attempt("import os\nos.truncate({secret!r}, 0)\nreturn True"),
    "truncates by reading": attempt("import os\nos.open({secret!r}, os.O_RDONLY | os.O_TRUNC)\nreturn True"),
    "changes a mode": attempt("import os\nos.chmod({secret!r}, 0o777)\nreturn os.stat({secret!r}).st_mode & 1 == 1"),
    "changes a time": attempt("import os\nos.utime({secret!r}, (0, 0))\nreturn os.stat({secret!r}).st_mtime == 0"),
    "changes a mode by a descriptor": attempt(
        _OWN + "mode = os.fstat(file).st_mode & 0o7777\nos.fchmod(file, mode ^ 0o020)\n"
        "changed = os.fstat(file).st_mode & 0o7777\nos.fchmod(file, mode)\nreturn changed != mode"
    ),
    "changes a time by a descriptor": attempt(
        _OWN + "found = os.fstat(file)\nos.utime(file, (0, 0))\nchanged = os.fstat(file).st_mtime\n"
        "os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))\nreturn changed == 0"
    ),
    "changes an owner by a descriptor": attempt(_OWN + "os.fchown(file, os.getuid(), os.getgid())\nreturn True"),
    "writes an attribute by a descriptor": attempt(
        _OWN + "os.setxattr(file, 'user.ft_eval_test', b'x')\nos.removexattr(file, 'user.ft_eval_test')\nreturn True"
    ),
    "changes flags by a descriptor": attempt(
        _OWN + "import fcntl\nflags = fcntl.ioctl(file, 0x80086601, bytes(8))\n"
        "fcntl.ioctl(file, 0x40086602, flags)\nreturn True"
    ),
    "leases a file from its readers": attempt(
        _OWN + "import fcntl\nfcntl.fcntl(file, 1024, fcntl.F_WRLCK)\nreturn True"
    ),
    "leases a file from its writers": attempt(
        _OWN + "import fcntl\nfcntl.fcntl(file, 1024, fcntl.F_RDLCK)\nreturn True"
    ),
    "exchanges its working folder": attempt(
        _LIBC + "import os\nos.mkdir('d')\nreturn libc.renameat2(-100, os.getcwd().encode(), -100, b'd', 2) == 0"
    ),
    "changes the standard library": attempt("import os\nopen(os.__file__, 'a').write('#')\nreturn True"),
    "makes a device": attempt("import os\nos.mknod('dev', 0o020666, 1)\nreturn True"),
    "mounts": attempt("import ctypes\nreturn ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, b'') == 0"),
}

NETWORK = {
    "connects by TCP": attempt("import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)\nreturn True"),
    "sends by UDP": attempt(
        "import socket\nreturn socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9)) == 1"
    ),
    "opens a Unix socket": attempt("import socket\nsocket.socket(socket.AF_UNIX)\nreturn True"),
    "aims a pair elsewhere": attempt(
        "import socket\na, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\nreturn True"
    ),
    "asks for the machine's addresses": attempt("""
import array, fcntl, socket, struct
left, _ = socket.socketpair()
room = array.array('B', bytes(4096))
found = fcntl.ioctl(left.fileno(), 0x8912, struct.pack('iL', 4096, room.buffer_info()[0]))
names = room.tobytes()[:struct.unpack('iL', found)[0]]
return any(names[n:n + 16].strip(b'\\0') != b'lo' for n in range(0, len(names), 40))"""),
    "asks for an interface's name": attempt(
        "import fcntl, socket, struct\nleft, _ = socket.socketpair()\n"
        "return bool(fcntl.ioctl(left.fileno(), 0x8910, struct.pack('16si20x', b'', 2)))"
    ),
    "passes a descriptor": attempt(
        "import os, socket\nleft, right = socket.socketpair()\nsocket.send_fds(left, [b'x'], [0])\nreturn True"
    ),
    "listens": attempt("import socket\nsocket.create_server(('127.0.0.1', 0))\nreturn True"),
    "looks up a name": attempt("import socket\nsocket.getaddrinfo('example.com', 80)\nreturn True"),
}

PROCESSES = {
    "forks": attempt("import os\nif os.fork() == 0:\n    os._exit(0)\nreturn True"),
    "bombs with forks": "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
    "forks by the calls of another machine": attempt("""
import ctypes, mmap
code = bytes.fromhex('b802000000' 'cd80' 'c3')  # mov eax, 2 (fork of i386); int 0x80; ret
room = mmap.mmap(-1, 4096, prot=7)
room.write(code)
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(room)))
return call() > 0"""),
    "forks by x32": attempt(_LIBC + "return libc.syscall(0x40000000 | 57) > 0"),
    "forks by clone3": attempt(
        _LIBC + "arguments = (ctypes.c_uint64 * 11)()\narguments[4] = 17\npid = libc.syscall(435, arguments, 88)\n"
        "if pid == 0:\n    libc._exit(0)\nreturn pid > 0"
    ),
    "leaves a daemon": attempt(
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)\nreturn True"
    ),
    "starts a program": attempt("import subprocess\nsubprocess.run(['/bin/true'])\nreturn True"),
    "becomes a program": attempt("import os\nos.execv('/bin/true', ['true'])"),
    "spawns by posix_spawn": attempt("import os\nos.posix_spawn('/bin/true', ['true'], {})\nreturn True"),
    "signals its owner": attempt("import os\nos.kill({owner}, 0)\nreturn True"),
    "kills everything": attempt("import os, signal\nos.kill(-1, signal.SIGKILL)\nreturn True"),
    "kills its group": attempt("import os, signal\nos.killpg(0, signal.SIGKILL)\nreturn True"),
    "signals by a descriptor's owner": attempt(
        "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, {owner})\nreturn True"
    ),
    "traces its owner": attempt("import ctypes\nreturn ctypes.CDLL(None).ptrace(16, {owner}, 0, 0) == 0"),
    "lowers its owner's limits": attempt(
        "import resource\nresource.prlimit({owner}, resource.RLIMIT_NOFILE)\nreturn True"
    ),
    "outlives its owner": attempt("import ctypes\nreturn ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0"),
    "starts a thread with descriptors of its own": attempt(
        _LIBC + "stack = ctypes.create_string_buffer(1 << 16)\n"
        "libc.clone.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]\n"
        "top = ctypes.addressof(stack) + (1 << 16) - 64 & ~15\n"
        "pause = ctypes.cast(libc.pause, ctypes.c_void_p)\nreturn libc.clone(pause, top, 0x10900, None) > 0"
    ),
    "takes descriptors of its own": attempt(_LIBC + "return libc.syscall(436, 1000, -1, 2) == 0"),
    "enters new namespaces": attempt("import ctypes\nreturn ctypes.CDLL(None).unshare(0x10000000) == 0"),
}

ESCAPES = SECRETS | FILES | NETWORK | PROCESSES

HARMLESS_ATTEMPTS = (
    "reads a file",
    "reads a file by a link",
    "reads the project",
    "lists the project",
    "reads passwords",
    "writes a file",
    "removes a file",
    "truncates a file",
    "truncates by reading",
    "changes a mode",
    "changes a time",
    "changes a mode by a descriptor",
    "changes a time by a descriptor",
    "changes an owner by a descriptor",
    "passes a descriptor",
    "connects by TCP",
    "sends by UDP",
    "opens a Unix socket",
    "listens",
    "forks",
    "starts a program",
    "spawns by posix_spawn",
    "signals its owner",
    "signals by a descriptor's owner",
    "outlives its owner",
    "takes memory beside the limit",
)
"""Attempts that succeed without walls, on every machine and without harm: the refusals mean something."""

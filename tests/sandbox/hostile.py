"""Programs that try to get out, get at something, get a pass without an answer, or do harm.

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


def _attempt(body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"def attempt():\n{lines}\n{_GUARDED}"


SECRETS = {
    "reads a file": _attempt("return 'secret' in open({secret!r}).read()"),
    "reads a file by a link": _attempt(
        "import os\nos.symlink({secret!r}, 'link')\nreturn 'secret' in open('link').read()"
    ),
    "reads a file by a hard link": _attempt(
        "import os\nos.link({secret!r}, 'link')\nreturn 'secret' in open('link').read()"
    ),
    "reads the project": _attempt("return bool(open({project!r} + '/pyproject.toml').read())"),
    "lists the project": _attempt("import os\nreturn 'ft_eval' in os.listdir({project!r})"),
    "reads the environment": _attempt("import os\nreturn 'FT_EVAL_TEST_TOKEN' in os.environ"),
    "reads environments by /proc": _attempt(
        "import glob\nreturn any(b'FT_EVAL_TEST_TOKEN' in open(p, 'rb').read() for p in glob.glob('/proc/*/environ'))"
    ),
    "reads its owner's memory": _attempt("return bool(open('/proc/{owner}/maps').read())"),
    "reads passwords": _attempt("return 'root' in open('/etc/passwd').read()"),
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
    "imports the judge": _attempt("import ft_eval.harness.code_judge\nreturn True"),
    "changes root": _attempt("import os\nos.chroot('/')\nreturn True"),
    "opens a file by handle": _attempt(
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "return libc.open_by_handle_at(0, 0, 0) == -1 and ctypes.get_errno() not in (1, 38)"
    ),
}

FILES = {
    "writes a file": _attempt("open({secret!r}, 'w').write('changed')\nreturn 'secret' not in open({secret!r}).read()"),
    "makes a file": _attempt("import os\nopen({folder!r} + '/made', 'w').close()\nreturn False"),
    "removes a file": _attempt("import os\nos.unlink({secret!r})\nreturn True"),
    "renames a file": _attempt("import os\nos.rename({secret!r}, {secret!r} + 'x')\nreturn True"),
    "truncates a file": _attempt("import os\nos.truncate({secret!r}, 0)\nreturn True"),
    "truncates by reading": _attempt("import os\nos.open({secret!r}, os.O_RDONLY | os.O_TRUNC)\nreturn True"),
    "changes a mode": _attempt("import os\nos.chmod({secret!r}, 0o777)\nreturn True"),
    "changes a time": _attempt("import os\nos.utime({secret!r}, (0, 0))\nreturn True"),
    "changes the standard library": _attempt("import os\nopen(os.__file__, 'a').write('#')\nreturn True"),
    "makes a device": _attempt("import os\nos.mknod('dev', 0o020666, 1)\nreturn True"),
    "mounts": _attempt("import ctypes\nreturn ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, b'') == 0"),
}

NETWORK = {
    "connects by TCP": _attempt("import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)\nreturn True"),
    "sends by UDP": _attempt(
        "import socket\nreturn socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9)) == 1"
    ),
    "opens a Unix socket": _attempt("import socket\nsocket.socket(socket.AF_UNIX)\nreturn True"),
    "aims a pair elsewhere": _attempt(
        "import socket\na, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\nreturn True"
    ),
    "listens": _attempt("import socket\nsocket.create_server(('127.0.0.1', 0))\nreturn True"),
    "looks up a name": _attempt("import socket\nsocket.getaddrinfo('example.com', 80)\nreturn True"),
}

PROCESSES = {
    "forks": _attempt("import os\nif os.fork() == 0:\n    os._exit(0)\nreturn True"),
    "bombs with forks": "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
    "leaves a daemon": _attempt(
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)\nreturn True"
    ),
    "starts a program": _attempt("import subprocess\nsubprocess.run(['/bin/true'])\nreturn True"),
    "becomes a program": _attempt("import os\nos.execv('/bin/true', ['true'])"),
    "spawns by posix_spawn": _attempt("import os\nos.posix_spawn('/bin/true', ['true'], {})\nreturn True"),
    "signals its owner": _attempt("import os\nos.kill({owner}, 0)\nreturn True"),
    "kills everything": _attempt("import os, signal\nos.kill(-1, signal.SIGKILL)\nreturn True"),
    "kills its group": _attempt("import os, signal\nos.killpg(0, signal.SIGKILL)\nreturn True"),
    "signals by a descriptor's owner": _attempt(
        "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, {owner})\nreturn True"
    ),
    "traces its owner": _attempt("import ctypes\nreturn ctypes.CDLL(None).ptrace(16, {owner}, 0, 0) == 0"),
    "lowers its owner's limits": _attempt(
        "import resource\nresource.prlimit({owner}, resource.RLIMIT_NOFILE)\nreturn True"
    ),
    "outlives its owner": _attempt("import ctypes\nreturn ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0"),
    "enters new namespaces": _attempt("import ctypes\nreturn ctypes.CDLL(None).unshare(0x10000000) == 0"),
}

FORGERIES = {
    "leaves early with success": "import os\nos._exit(0)",
    "leaves in a call": "import os\ndef solve(x):\n    os._exit(0)",
    "exits politely": "def solve(x):\n    raise SystemExit(0)",
    "forges frames on every descriptor": """
import os, struct
def solve(x):
    for kind, body in ((b'R', b''), (b'A', b'true'), (b'A', b'["x","int",true]'), (b'D', b'other ' + b'0' * 64)):
        for index in range(3):
            frame = struct.pack('>IcIQ', len(body), kind, index, 0) + body
            for descriptor in range(64):
                try:
                    os.write(descriptor, frame)
                except OSError:
                    pass
    os._exit(0)
""",
    "writes noise on every descriptor": """
import os
for descriptor in range(64):
    try:
        os.write(descriptor, b'PASSED' * 100)
    except OSError:
        pass
def solve(x):
    return None
""",
    "promises a gigabyte": """
import os, struct
def solve(x):
    os.write(4, struct.pack('>IcIQ', 1 << 30, b'A', 0, 0))
    while True:
        os.write(4, b' ' * 65536)
""",
    "equals everything": """
class Any:
    def __eq__(self, other):
        return True
    __hash__ = None
def solve(x):
    return Any()
""",
    "an int that equals everything": """
class Any(int):
    def __eq__(self, other):
        return True
    def __add__(self, other):
        return self
    __hash__ = int.__hash__
def solve(x):
    return Any(-1)
""",
    "a float that is close to everything": """
class Any(float):
    __eq__ = __le__ = __ge__ = lambda self, other: True
    __sub__ = __rsub__ = __abs__ = __float__ = lambda self, *other: 0.0
def solve(x):
    return Any(-1.0)
""",
    "patches comparison": """
import builtins, json, numpy, operator
numpy.allclose = lambda *a, **k: True
operator.eq = lambda *a: True
builtins.all = builtins.isinstance = lambda *a: True
def solve(x):
    return -1
""",
    "patches the driver": """
import sys
for name, module in list(sys.modules.items()):
    if name.startswith('ft_eval'):
        for key in list(vars(module)):
            if not key.startswith('__'):
                setattr(module, key, lambda *a, **k: b'true')
def solve(x):
    return -1
""",
    "is not a number": "def solve(x):\n    return float('nan')",
    "is endless": "def solve(x):\n    while True:\n        yield x",
    "is cyclic": "def solve(x):\n    loop = []\n    loop.append(loop)\n    return loop",
    "is deep": """
def solve(x):
    deep = []
    for _ in range(100000):
        deep = [deep]
    return deep
""",
}

RESOURCES = {
    "loops": "def solve(x):\n    while True:\n        pass",
    "loops when loaded": "while True:\n    pass",
    "sleeps": "import time\ndef solve(x):\n    time.sleep(1000)",
    "swallows everything": """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
def solve(x):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
""",
    "matches for ever": "import re\ndef solve(x):\n    return re.match(r'(a+)+$', 'a' * 50 + 'b')",
    "takes all memory": "def solve(x):\n    hoard = []\n    while True:\n        hoard.append(bytearray(1 << 24))",
    "takes memory beside the limit": _attempt("import ctypes\nreturn ctypes.CDLL(None).memfd_create(b'hoard', 0) >= 0"),
    "fills the disk": """
import os
def solve(x):
    number = 0
    while True:
        number += 1
        with open(f'fill-{number}', 'wb') as file:
            for _ in range(16):
                file.write(bytes(1 << 20))
""",
    "makes a million files": """
def solve(x):
    for number in range(1000000):
        open(f'file-{number}', 'w').close()
    return 2 * x
""",
    "digs folders": """
import os
def solve(x):
    for _ in range(5000):
        os.mkdir('d', 0)
        os.rename('d', 'e')
        os.chdir('.')
    return None
""",
    "digs deep folders": """
import os
def solve(x):
    for _ in range(1200):
        os.mkdir('d')
        os.chdir('d')
    return None
""",
    "starts threads without end": """
import threading, time
threading.stack_size(32768)
def solve(x):
    while True:
        threading.Thread(target=time.sleep, args=(1000,)).start()
""",
    "answers without end": "def solve(x):\n    return 'x' * (1 << 29)",
    "answers a long list": "def solve(x):\n    return list(range(10 ** 7))",
    "prints without end": "def solve(x):\n    while True:\n        print('x' * 1000000)",
    "overflows the stack": """
import sys
sys.setrecursionlimit(10 ** 9)
class Deep:
    def __getattr__(self, name):
        return getattr(self, name + 'x')
def solve(x):
    return Deep().x
""",
    "crashes": "import ctypes\ndef solve(x):\n    return ctypes.string_at(0)",
    "aborts": "import os\ndef solve(x):\n    os.abort()",
    "closes everything and goes on": """
import os
def solve(x):
    os.closerange(0, 4096)
    while True:
        pass
""",
    "raises the limits": _attempt(
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))\nreturn True"
    ),
}

HOSTILE = SECRETS | FILES | NETWORK | PROCESSES | FORGERIES | RESOURCES

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

"""Programs that want a pass without an answer, and programs that do harm with what they are given.

Each defines solve(x); 2 * x would be right for x in 1, 2, 3.
"""

from tests.sandbox.escapes import attempt

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
    "is sets within sets": """
def solve(x):
    deep = frozenset({'"'})
    for _ in range(95):
        deep = frozenset({deep, '"'})
    return deep
""",
    "is deep": """
def solve(x):
    deep = []
    for _ in range(100000):
        deep = [deep]
    return deep
""",
    "shortens the list of calls": """
import sys
frame = sys._getframe()
while frame:
    job = frame.f_locals.get('job')
    if job is not None:
        object.__setattr__(job, 'calls', ())
    frame = frame.f_back
def solve(x):
    return 0
""",
    "an exception that can't be named": """
class Meta(type):
    def __getattribute__(self, name):
        raise SystemExit(0)
class Bad(BaseException, metaclass=Meta):
    pass
def solve(x):
    raise Bad
""",
    "tells the container's owner that it passed": """
import json, os, struct
result = {'outcome': 'passed', 'detail': '', 'num_answers': 3, 'answers': [], 'seconds': 0.1, 'cpu_seconds': 0.1}
message = json.dumps({'result': {**result, 'peak_memory_bytes': 1}, 'is_fit': True}).encode()
for number in os.listdir('/proc/1/fd'):
    try:
        if 'pipe' in os.readlink('/proc/1/fd/' + number):
            pipe = os.open('/proc/1/fd/' + number, os.O_WRONLY | os.O_NONBLOCK)
            os.write(pipe, struct.pack('>I', len(message)) + message)
    except OSError:
        pass
def solve(x):
    return None
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
    "takes memory beside the limit": attempt("import ctypes\nreturn ctypes.CDLL(None).memfd_create(b'hoard', 0) >= 0"),
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
    "takes room without writing": attempt("""
import ctypes, os
libc = ctypes.CDLL(None)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
file = os.open('room', os.O_RDWR | os.O_CREAT)
os.unlink('room')
libc.fallocate(file, 1, 0, 40 << 20)  # with the size kept, which no limit on sizes sees
return os.fstat(file).st_blocks * 512 >= 40 << 20"""),
    "keeps removed files by mapping them": attempt("""
import ctypes, os, time
if getattr(attempt, 'has_succeeded', False):
    return True
libc = ctypes.CDLL(None)
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
content = bytes(4 << 20)
for number in range(80):  # more than the folder of any box holds
    file = os.open('held', os.O_RDWR | os.O_CREAT)
    os.write(file, content)
    libc.mmap(None, 4096, 1, 1, file, 0)
    os.unlink('held')
    os.close(file)
time.sleep(0.5)
attempt.has_succeeded = True
return True"""),
    "arms timers without end": attempt("""
import ctypes
libc, timer, number = ctypes.CDLL(None), ctypes.c_void_p(), 0
while number < 5000 and libc.timer_create(0, None, ctypes.byref(timer)) == 0:
    number += 1
return number == 5000"""),
    "raises the limits": attempt(
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))\nreturn True"
    ),
}

DISTURBANCES = {
    "makes its folder read-only": (
        "import os\nos.fchmod(os.open('.', os.O_RDONLY), 0o500)\ndef solve(x):\n    return None"
    ),
    "closes its folder": "import os\nos.fchmod(os.open('.', os.O_RDONLY), 0)\ndef solve(x):\n    return None",
    "closes its folder and leaves": "import os\nos.fchmod(os.open('.', os.O_RDONLY), 0)\nos._exit(0)",
    "leaves a folder that is closed": "import os\nos.makedirs('a/b')\nos.mkdir('c', 0)\ndef solve(x):\n    return None",
    "closes files that are yet to be made": """
import os, struct
acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', tag, 0, 0xffffffff) for tag in (1, 4, 0x20))
os.setxattr(os.open('.', os.O_RDONLY), 'system.posix_acl_default', acl)
def solve(x):
    return None
""",
    "puts a numpy of its own in its folder": """
import os, sys
os.mkdir('numpy')
open('numpy/__init__.py', 'w').write('import os\\nos._exit(3)')
sys.path.insert(0, os.getcwd())
sys.path_importer_cache.clear()
sys.meta_path.clear()
def solve(x):
    import numpy
    return None
""",
    "goes back to the server's loop": (
        "import os\nos._exit = lambda code: None\nos.close(4)\ndef solve(x):\n    return None"
    ),
    "goes on without its first thread": """
import ctypes, threading
def spin():
    while True:
        pass
threading.Thread(target=spin).start()
def solve(x):
    ctypes.CDLL(None).syscall(60, 0)
""",
}
"""What would make the program after it fail."""

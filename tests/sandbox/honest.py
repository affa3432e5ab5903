"""Programs that do what honest programs do. Each defines solve(x) that must return 2 * x for x in 1, 2, 3."""

from tests.sandbox.honest_language import LANGUAGE
from tests.sandbox.honest_library import LIBRARY

_USUAL = {
    "prints": "print('hello')\ndef solve(x):\n    print('x' * 100000)\n    return 2 * x",
    "writes to stderr": "import sys\ndef solve(x):\n    sys.stderr.write('oops')\n    return 2 * x",
    "main guard": "def solve(x):\n    return 2 * x\nif __name__ == '__main__':\n    raise SystemExit('not here')",
    "threads": """
import threading
def solve(x):
    found = []
    workers = [threading.Thread(target=lambda: found.append(x)) for _ in range(2)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    return sum(found)
""",
    "a thread that never ends": """
import threading, time
threading.Thread(target=lambda: time.sleep(1000)).start()
def solve(x):
    return 2 * x
""",
    "thread pool": """
from concurrent.futures import ThreadPoolExecutor
def solve(x):
    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(int, [x, x]))
""",
    "asyncio": """
import asyncio
async def double(x):
    await asyncio.sleep(0)
    return 2 * x
def solve(x):
    return asyncio.run(double(x))
""",
    "temporary files": """
import os, shutil, tempfile
def solve(x):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'a')
        with open(path, 'w') as file:
            file.write(str(x))
        shutil.copyfile(path, path + 'b')
        with open(path + 'b') as file:
            return 2 * int(file.read())
""",
    "a file in the working folder": """
def solve(x):
    with open('note.txt', 'w') as file:
        file.write(str(x))
    return 2 * int(open('note.txt').read())
""",
    "deep recursion": """
import sys
sys.setrecursionlimit(20000)
def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)
def solve(x):
    return 2 * x if depth(10000) == 10000 else None
""",
    "big integers": "def solve(x):\n    return 2 * x * 7**20000 // 7**20000",
    "numpy": """
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
def solve(x):
    return int(np.linalg.det(np.diag([x, 2.0])).round())
""",
    "numpy scalars": "import numpy as np\ndef solve(x):\n    return np.int64(2 * x)",
    "modules from disk": """
import difflib, graphlib, html.parser, sched, statistics, wave, xml.dom.minidom, zipfile
def solve(x):
    return statistics.mean([x, 3 * x])
""",
    "future annotations and dataclasses": """
from __future__ import annotations
from dataclasses import dataclass
import typing
@dataclass
class Pair:
    left: int
    right: typing.ClassVar[int] = 2
def solve(x: int) -> int:
    return Pair(x).left * Pair.right
""",
    "cached functions": """
from functools import lru_cache
@lru_cache(maxsize=None)
def solve(x):
    return 2 * x
""",
    "shadows builtins": "list = str = len = print = None\nopen = 3\ndef solve(x):\n    return 2 * x",
    "changes its module's friends": """
import json, os
json.dumps = os.write = None
def solve(x):
    return 2 * x
""",
    "captures its output": """
import contextlib, io
def solve(x):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        print(2 * x)
    return int(out.getvalue())
""",
    "decimals and dates": """
import datetime, decimal
def solve(x):
    return decimal.Decimal(2 * x) + datetime.timedelta(0).days
""",
    "an enum": "import enum\nclass N(enum.IntEnum):\n    TWO = 2\ndef solve(x):\n    return N.TWO * x",
    "catches an exception of its own": """
def solve(x):
    try:
        raise ValueError(x)
    except ValueError as error:
        return 2 * error.args[0]
""",
    "300 megabytes": """
def solve(x):
    hoard = bytearray(300 << 20)
    hoard[-1] = x
    return 2 * hoard[-1]
""",
    "a big numpy array": """
import numpy as np
def solve(x):
    return int(np.full((20 << 20,), x, dtype=np.int64)[-1]) * 2
""",
    "generators": """
def naturals():
    n = 0
    while True:
        yield n
        n += 1
def solve(x):
    return next(n for n in naturals() if n == 2 * x)
""",
    "deep recursion without a raised limit": """
def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)
def solve(x):
    return depth(900) - 900 + 2 * x
""",
    "prints big integers": """
import sys
if hasattr(sys, 'set_int_max_str_digits'):
    sys.set_int_max_str_digits(0)
def solve(x):
    print(7 ** 20000)
    return 2 * x
""",
    "a lock and a condition": """
import threading
def solve(x):
    ready, box = threading.Condition(), []
    def put():
        with ready:
            box.append(x)
            ready.notify()
    with ready:
        threading.Thread(target=put).start()
        ready.wait_for(lambda: box, 5)
    return 2 * box[0]
""",
    "sleeps a little": "import time\ndef solve(x):\n    time.sleep(0.05)\n    return 2 * x",
    "its own clock and folder": """
import os, pathlib, time
def solve(x):
    assert time.time() > 0 and os.getpid() > 0
    assert pathlib.Path.cwd().is_dir()
    return 2 * x
""",
    "pickles and copies": """
import copy, pickle
def solve(x):
    return pickle.loads(pickle.dumps(copy.deepcopy([x, x])))[0] * 2
""",
    "a temporary file with a name": """
import os, tempfile
def solve(x):
    with tempfile.NamedTemporaryFile('w', delete=False) as file:
        file.write(str(x))
    try:
        with open(file.name) as again:
            return 2 * int(again.read())
    finally:
        os.unlink(file.name)
""",
    "regular expressions and text": """
import re, string, textwrap
def solve(x):
    text = textwrap.fill(string.ascii_letters * x, 10)
    return 2 * len(re.findall(r'a', text))
""",
    "asks for input that is not there": """
def solve(x):
    try:
        input()
    except EOFError:
        return 2 * x
""",
    "breaks the clock": "import time\ntime.process_time = time.perf_counter = None\ndef solve(x):\n    return 2 * x",
    "breaks mathematics": "import math\nmath.isfinite = math.isnan = None\ndef solve(x):\n    return 2.0 * x",
}

HONEST = LIBRARY | LANGUAGE | _USUAL

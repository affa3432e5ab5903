"""More honest programs: files, numbers, NumPy and corners of the language. As in `honest`, 2 * x is right."""

LANGUAGE = {
    "prints a flood": """
import sys
def solve(x):
    for _ in range(20000):
        print('debug', x, flush=True)
    sys.stdout.buffer.write(b'x' * (8 << 20))
    print('done', file=sys.stderr)
    return 2 * x
""",
    "an sqlite database": """
import sqlite3
def solve(x):
    with sqlite3.connect(':memory:') as memory, sqlite3.connect('data.db') as disk:
        memory.execute('create table t (x)'); memory.execute('insert into t values (?)', (2 * x,))
        disk.execute('create table if not exists t (x)'); disk.execute('insert into t values (1)'); disk.commit()
        return memory.execute('select x from t').fetchone()[0]
""",
    "files in many formats": """
import base64, configparser, csv, gzip, io, json, pathlib, pickle, struct, tempfile, zipfile, zlib
def solve(x):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, 'a', 'b'); path.mkdir(parents=True)
        with open(path / 'x.csv', 'w', newline='') as file:
            csv.writer(file).writerows([[x, x]])
        with zipfile.ZipFile(path / 'x.zip', 'w') as archive:
            archive.write(path / 'x.csv', 'x.csv')
        with zipfile.ZipFile(path / 'x.zip') as archive:
            archive.extractall(path / 'out')
        (path / 'x.gz').write_bytes(gzip.compress(json.dumps({'x': x}).encode()))
        with open(path / 'out' / 'x.csv') as file:
            return sum(map(int, next(csv.reader(file))))
""",
    "copies files with shutil": """
import os, shutil
def solve(x):
    with open('a.txt', 'w') as file:
        file.write(str(2 * x))
    shutil.copy('a.txt', 'b.txt')
    shutil.copy2('a.txt', 'c.txt')
    os.makedirs('d', exist_ok=True)
    shutil.copytree('d', 'e', dirs_exist_ok=True)
    shutil.move('b.txt', 'f.txt')
    return int(open('f.txt').read())
""",
    "changes the mode of its own file": """
import os
def solve(x):
    open('a', 'w').close()
    os.chmod('a', 0o644)
    return 2 * x
""",
    "asks for room before it writes": """
import os
def solve(x):
    file = os.open('room', os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(file, 0, 100000)
    os.close(file)
    return 2 * x if os.path.getsize('room') == 100000 else None
""",
    "maps files": """
import mmap, tempfile
import numpy as np
def solve(x):
    with tempfile.TemporaryFile() as file:
        file.write(bytes(5000))
        file.flush()
        with mmap.mmap(file.fileno(), 0) as mapped:
            mapped[0] = x
        file.seek(0)
        array = np.memmap('array', dtype='i8', mode='w+', shape=10)
        array[:] = x
        return file.read(1)[0] + int(array[9])
""",
    "leaves by exit and is caught": """
help(exit)
def solve(x):
    try:
        exit(2 * x) if x % 2 else quit(2 * x)
    except SystemExit as error:
        return error.code
""",
    "a shelf": """
import shelve
def solve(x):
    with shelve.open('s') as shelf:
        shelf['x'] = 2 * x
        return shelf['x']
""",
    "contexts, exits, warnings": """
import atexit, contextlib, contextvars, warnings, gc, sys, traceback
warnings.filterwarnings('error')
var = contextvars.ContextVar('v', default=0)
atexit.register(print, 'bye')
sys.setswitchinterval(0.001)
@contextlib.contextmanager
def managed(x):
    token = var.set(x)
    try:
        yield var.get()
    finally:
        var.reset(token)
def solve(x):
    with contextlib.ExitStack() as stack, contextlib.suppress(ZeroDivisionError):
        got = stack.enter_context(managed(x))
        gc.collect()
        return 2 * got
""",
    "random numbers with a seed": """
import random, secrets, uuid, hashlib, hmac
def solve(x):
    random.seed(42)
    first = random.random()
    random.seed(42)
    assert first == random.random() == 0.6394267984578837
    assert len(uuid.uuid4().hex) == 32 and uuid.uuid1() and secrets.token_hex(2) and hashlib.md5(b'a').hexdigest()
    return 2 * x
""",
    "numpy of many kinds": """
import numpy as np
from numpy import linalg as LA
rng = np.random.default_rng(0)
def solve(x):
    matrix = rng.integers(0, 9, (50, 50)).astype(float)
    assert np.allclose(LA.inv(matrix + 100 * np.eye(50)) @ (matrix + 100 * np.eye(50)), np.eye(50), atol=1e-6)
    assert np.fft.ifft(np.fft.fft(np.arange(8))).real.round().sum() == 28
    assert np.polynomial.Polynomial([1, 2])(1) == 3 and np.ma.masked_array([1, 2], [0, 1]).sum() == 1
    with np.errstate(divide='ignore'):
        np.float64(1) / 0
    return np.array([x, x]).sum()
""",
    "numpy by another way": """
import importlib
np = importlib.import_module('num' 'py')
def solve(x):
    return int(np.dot([x, x], [1, 1]))
""",
    "generators that talk back": """
def talk():
    total = 0
    while True:
        got = yield total
        if got is None:
            return total
        total += got
def outer(box):
    box.append((yield from talk()))
    yield
def solve(x):
    box = []
    one = outer(box); next(one); one.send(x); one.send(x); one.send(None)
    return box[0]
""",
    "matches structures": """
def solve(x):
    match {'kind': 'n', 'value': [x, *range(3)]}:
        case {'kind': 'n', 'value': [first, *_]} if first == x:
            return first * 2
        case _:
            return None
""",
    "exception groups and notes": """
def solve(x):
    try:
        raise ExceptionGroup('g', [ValueError(x), TypeError('t')])
    except* ValueError as group:
        group.add_note('n')
        found = group.exceptions[0].args[0]
    except* TypeError:
        pass
    return 2 * found
""",
    "executes code of its own": r"""
import ast
def solve(x):
    space = {}
    exec('def f(x):\n    return 2 * x', space)
    return space['f'](x) + eval('0') + ast.literal_eval('0')
""",
    "times itself": """
import time, timeit
def solve(x):
    start = time.perf_counter()
    time.sleep(0.01)
    timeit.timeit('1', number=10)
    assert time.perf_counter() > start and time.process_time() >= 0 and time.thread_time() >= 0
    return 2 * x
""",
    "patches a module of the standard library": """
import math, time, struct, json, os
math.isfinite = time.process_time = struct.pack = json.dumps = json.loads = os.write = os.fstat = None
def solve(x):
    return 2 * x
""",
    "a singleton, a cache and shared state": """
class One:
    _it = None
    def __new__(cls):
        cls._it = cls._it or super().__new__(cls)
        return cls._it
def solve(x, seen={}):
    assert One() is One()
    seen[x] = 2 * x
    return seen[x]
""",
    "a coroutine run by hand": """
class Now:
    def __await__(self):
        got = yield 1
        return got
async def work(x):
    return x + await Now()
def solve(x):
    one = work(x)
    one.send(None)
    try:
        one.send(x)
    except StopIteration as stop:
        return stop.value
""",
    "two events and a timer": """
import threading
def solve(x):
    done = threading.Event()
    threading.Timer(0.01, done.set).start()
    local = threading.local(); local.x = x
    barrier = threading.Barrier(2)
    threading.Thread(target=barrier.wait).start()
    barrier.wait(5)
    assert done.wait(5) and threading.current_thread() is threading.main_thread()
    return 2 * local.x
""",
}

"""More honest programs: what answers reach for in the standard library and in NumPy. As in `honest`, 2 * x is right."""

LIBRARY = {
    "a large recursion by a thread with a big stack": r"""
import sys, threading
sys.setrecursionlimit(1 << 20)
threading.stack_size(1 << 27)
def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)
def solve(x):
    found = []
    worker = threading.Thread(target=lambda: found.append(depth(50000)))
    worker.start()
    worker.join()
    return 2 * x if found == [50000] else None
""",
    "an alarm as a time limit": r"""
import signal
class Late(Exception):
    pass
def ring(number, frame):
    raise Late
def solve(x):
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        while True:
            pass
    except Late:
        return 2 * x
""",
    "queues and workers": r"""
import queue, threading
def solve(x):
    todo, done = queue.Queue(), queue.PriorityQueue()
    def work():
        while (item := todo.get()) is not None:
            done.put(item)
            todo.task_done()
    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    [thread.start() for thread in threads]
    [todo.put(x) for _ in range(10)]
    todo.join()
    return sum(done.get() for _ in range(2))
""",
    "futures": r"""
from concurrent.futures import ThreadPoolExecutor, as_completed
def solve(x):
    with ThreadPoolExecutor(max_workers=8) as pool:
        return sum(f.result() for f in as_completed([pool.submit(pow, x, 1) for _ in range(2)]))
""",
    "asyncio with tasks, queues and timeouts": r"""
import asyncio
async def worker(queue, found):
    while True:
        found.append(await queue.get())
        queue.task_done()
async def main(x):
    queue, found = asyncio.Queue(), []
    tasks = [asyncio.create_task(worker(queue, found)) for _ in range(3)]
    for _ in range(2):
        queue.put_nowait(x)
    await asyncio.wait_for(queue.join(), 1)
    [task.cancel() for task in tasks]
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.to_thread(int)
    return sum(found)
def solve(x):
    return asyncio.run(main(x))
""",
    "logging": r"""
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
logger = logging.getLogger(__name__)
def solve(x):
    logger.debug('x is %s', x)
    logging.warning('%r', {'x': x})
    return 2 * x
""",
    "logs to a file": r"""
import logging
logging.basicConfig(filename='app.log', level=logging.INFO)
def solve(x):
    logging.info('%d', 2 * x)
    return int(open('app.log').read().strip().rpartition(':')[2])
""",
    "imports multiprocessing and subprocess": r"""
import multiprocessing, subprocess, os
from multiprocessing import Pool, Process, Queue
def work(x):
    return 2 * x
def solve(x):
    assert multiprocessing.cpu_count() > 0
    return work(x)
if __name__ == '__main__':
    with Pool() as pool:
        print(pool.map(work, range(3)))
""",
    "tests in a main guard": r"""
import unittest, doctest
def solve(x):
    '''
    >>> solve(2)
    4
    '''
    return 2 * x
class TestSolve(unittest.TestCase):
    def test(self):
        self.assertEqual(solve(2), 4)
if __name__ == '__main__':
    unittest.main()
""",
    "runs its own tests when loaded": r"""
import doctest, unittest
def solve(x):
    return 2 * x
class T(unittest.TestCase):
    def test(self):
        self.assertEqual(solve(2), 4)
doctest.testmod()
assert unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(T)).wasSuccessful()
""",
    "integers of many digits as text": r"""
import sys
sys.set_int_max_str_digits(100000)
def solve(x):
    return int(str(7 ** 10000 * 2 * x)) // 7 ** 10000
""",
    "collections": r"""
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque, namedtuple
Pair = namedtuple('Pair', 'a b', defaults=(0,))
def solve(x):
    groups = defaultdict(lambda: defaultdict(list))
    groups[x]['k'].append(x)
    ring = deque([x] * 5, maxlen=2)
    ordered = OrderedDict(sorted(Counter('aab').items()))
    ordered.move_to_end('a')
    return sum(ring) + Pair(a=groups[x]['k'][0])._replace(b=1).a - ChainMap({'x': x}, ordered)['x']
""",
    "heaps, bisection, sorting": r"""
import bisect, functools, heapq, itertools, operator
def solve(x):
    heap = [3 * x, x, 2 * x]
    heapq.heapify(heap)
    ordered = sorted(heap, key=functools.cmp_to_key(lambda a, b: a - b))
    assert bisect.bisect_left(ordered, 2 * x) == 1
    return list(itertools.accumulate([x, x], operator.add))[-1]
""",
    "decimal contexts": r"""
import decimal
from decimal import Decimal, ROUND_HALF_UP, getcontext, localcontext
getcontext().prec = 50
def solve(x):
    with localcontext() as context:
        context.prec = 5
        return int((Decimal(1) / 3 * 6 * x).quantize(Decimal('1'), rounding=ROUND_HALF_UP))
""",
    "dates and zones": r"""
from datetime import datetime, timedelta, timezone
import time, calendar
from zoneinfo import ZoneInfo
def solve(x):
    moment = datetime(2024, 3, 10, 12, tzinfo=ZoneInfo('America/New_York'))
    assert moment.utcoffset() == timedelta(hours=-4) and time.strftime('%Z') and calendar.isleap(2024)
    assert datetime.now(timezone.utc).year > 2000 and datetime.strptime('Mar', '%b').month == 3
    return (timedelta(days=x) * 2).days
""",
    "typing oddities": r"""
from __future__ import annotations
import abc, dataclasses, enum, typing
from typing import Generic, NamedTuple, Protocol, TypedDict, TypeVar, overload
T = TypeVar('T')
class Has(Protocol):
    def get(self) -> int: ...
class Row(TypedDict, total=False):
    x: int
class Point(NamedTuple):
    x: int
    y: int = 0
@dataclasses.dataclass(order=True, frozen=True, slots=True)
class Box(Generic[T]):
    item: T
    extra: list[T] = dataclasses.field(default_factory=list, compare=False)
    def get(self) -> T:
        return self.item
def solve(x: int) -> int:
    assert typing.get_type_hints(Point) == {'x': int, 'y': int} and Box(1) < Box(2)
    return dataclasses.replace(Box(x), item=2 * x).get() + Point(0).y
""",
    "metaclasses, descriptors, slots": r"""
import abc, functools, weakref
class Meta(type):
    registry = {}
    def __new__(mcls, name, bases, space, **kw):
        mcls.registry[name] = made = super().__new__(mcls, name, bases, space)
        return made
class Base(metaclass=Meta):
    __slots__ = ('x', '__weakref__', '__dict__')
    @functools.cached_property
    def double(self):
        return 2 * self.x
def solve(x):
    one = Meta.registry['Base'](); one.x = x
    assert weakref.ref(one)() is one
    return one.double
""",
    "reads standard input": r"""
import sys
data = sys.stdin.read().split()
lines = [line for line in open(0, closefd=False)]
def solve(x):
    return 2 * x + len(data) + len(lines)
""",
    "prints a flood": r"""
import sys
def solve(x):
    for _ in range(20000):
        print('debug', x, flush=True)
    sys.stdout.buffer.write(b'x' * (8 << 20))
    print('done', file=sys.stderr)
    return 2 * x
""",
    "an sqlite database": r"""
import sqlite3
def solve(x):
    with sqlite3.connect(':memory:') as memory, sqlite3.connect('data.db') as disk:
        memory.execute('create table t (x)'); memory.execute('insert into t values (?)', (2 * x,))
        disk.execute('create table if not exists t (x)'); disk.execute('insert into t values (1)'); disk.commit()
        return memory.execute('select x from t').fetchone()[0]
""",
    "files in many formats": r"""
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
    "copies files with shutil": r"""
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
    "changes the mode of its own file": r"""
import os
def solve(x):
    open('a', 'w').close()
    os.chmod('a', 0o644)
    return 2 * x
""",
    "a shelf": r"""
import shelve
def solve(x):
    with shelve.open('s') as shelf:
        shelf['x'] = 2 * x
        return shelf['x']
""",
    "contexts, exits, warnings": r"""
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
    "random numbers with a seed": r"""
import random, secrets, uuid, hashlib, hmac
def solve(x):
    random.seed(42)
    first = random.random()
    random.seed(42)
    assert first == random.random() == 0.6394267984578837
    assert len(uuid.uuid4().hex) == 32 and uuid.uuid1() and secrets.token_hex(2) and hashlib.md5(b'a').hexdigest()
    return 2 * x
""",
    "numpy of many kinds": r"""
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
    "numpy by another way": r"""
import importlib
np = importlib.import_module('num' 'py')
def solve(x):
    return int(np.dot([x, x], [1, 1]))
""",
    "generators that talk back": r"""
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
    "matches structures": r"""
def solve(x):
    match {'kind': 'n', 'value': [x, *range(3)]}:
        case {'kind': 'n', 'value': [first, *_]} if first == x:
            return first * 2
        case _:
            return None
""",
    "exception groups and notes": r"""
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
    "times itself": r"""
import time, timeit
def solve(x):
    start = time.perf_counter()
    time.sleep(0.01)
    timeit.timeit('1', number=10)
    assert time.perf_counter() > start and time.process_time() >= 0 and time.thread_time() >= 0
    return 2 * x
""",
    "patches a module of the standard library": r"""
import math, time, struct, json, os
math.isfinite = time.process_time = struct.pack = json.dumps = json.loads = os.write = os.fstat = None
def solve(x):
    return 2 * x
""",
    "a singleton, a cache and shared state": r"""
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
    "a coroutine run by hand": r"""
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
    "two events and a timer": r"""
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

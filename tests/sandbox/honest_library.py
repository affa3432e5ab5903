"""More honest programs: threads, logs, tests, dates and collections. As in `honest`, 2 * x is right."""

LIBRARY = {
    "a large recursion by a thread with a big stack": """
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
    "asks for a larger stack": """
import resource, sys
_, most = resource.getrlimit(resource.RLIMIT_STACK)
resource.setrlimit(resource.RLIMIT_STACK, (1 << 29, most))
sys.setrecursionlimit(10 ** 6)
def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)
def solve(x):
    return 2 * x if depth(100000) == 100000 else None
""",
    "asks for types of files": """
import http.server, mimetypes
def solve(x):
    return 2 * x if mimetypes.guess_type('a.txt') == ('text/plain', None) else None
""",
    "an alarm as a time limit": """
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
    "queues and workers": """
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
    "futures": """
from concurrent.futures import ThreadPoolExecutor, as_completed
def solve(x):
    with ThreadPoolExecutor(max_workers=8) as pool:
        return sum(f.result() for f in as_completed([pool.submit(pow, x, 1) for _ in range(2)]))
""",
    "asyncio with tasks, queues and timeouts": """
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
    "logging": """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
logger = logging.getLogger(__name__)
def solve(x):
    logger.debug('x is %s', x)
    logging.warning('%r', {'x': x})
    return 2 * x
""",
    "logs to a file": """
import logging
logging.basicConfig(filename='app.log', level=logging.INFO)
def solve(x):
    logging.info('%d', 2 * x)
    return int(open('app.log').read().strip().rpartition(':')[2])
""",
    "imports multiprocessing and subprocess": """
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
    "tests in a main guard": """
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
    "runs its own tests when loaded": """
import doctest, unittest
def solve(x):
    return 2 * x
class T(unittest.TestCase):
    def test(self):
        self.assertEqual(solve(2), 4)
doctest.testmod()
assert unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(T)).wasSuccessful()
""",
    "integers of many digits as text": """
import sys
sys.set_int_max_str_digits(100000)
def solve(x):
    return int(str(7 ** 10000 * 2 * x)) // 7 ** 10000
""",
    "collections": """
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
    "heaps, bisection, sorting": """
import bisect, functools, heapq, itertools, operator
def solve(x):
    heap = [3 * x, x, 2 * x]
    heapq.heapify(heap)
    ordered = sorted(heap, key=functools.cmp_to_key(lambda a, b: a - b))
    assert bisect.bisect_left(ordered, 2 * x) == 1
    return list(itertools.accumulate([x, x], operator.add))[-1]
""",
    "decimal contexts": """
import decimal
from decimal import Decimal, ROUND_HALF_UP, getcontext, localcontext
getcontext().prec = 50
def solve(x):
    with localcontext() as context:
        context.prec = 5
        return int((Decimal(1) / 3 * 6 * x).quantize(Decimal('1'), rounding=ROUND_HALF_UP))
""",
    "dates and zones": """
from datetime import datetime, timedelta, timezone
import time, calendar
from zoneinfo import ZoneInfo
def solve(x):
    moment = datetime(2024, 3, 10, 12, tzinfo=ZoneInfo('America/New_York'))
    assert moment.utcoffset() == timedelta(hours=-4) and time.strftime('%Z') and calendar.isleap(2024)
    assert datetime.now(timezone.utc).year > 2000 and datetime.strptime('Mar', '%b').month == 3
    return (timedelta(days=x) * 2).days
""",
    "typing oddities": """
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
    "metaclasses, descriptors, slots": """
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
    "reads standard input": """
import sys
data = sys.stdin.read().split()
lines = [line for line in open(0, closefd=False)]
def solve(x):
    return 2 * x + len(data) + len(lines)
""",
}

"""What goes into the sandbox and what comes out of it: frozen data. Knows no task and no expected value."""

from dataclasses import dataclass, field
from enum import StrEnum

MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30


class Tier(StrEnum):
    """How a program is confined. SECURITY.md says what each promises."""

    NS = "ns"
    """Own namespaces and an own root of read-only binds, and Landlock, seccomp and rlimits where they can be had."""
    LL = "ll"
    """Landlock, seccomp and rlimits in the caller's namespaces: works inside a default container."""
    BWRAP = "bwrap"
    """What ns does, by bubblewrap: where a distribution allows that program what it forbids Python."""
    DOCKER = "docker"
    """A container per worker without network, and Landlock, seccomp and rlimits inside it. Also where there is no
    Linux."""
    NONE = "none"
    """A separate process with rlimits and nothing else. Only when asked for by name and allowed."""


class Outcome(StrEnum):
    """How a program ended. Never an infrastructure failure: that is a SandboxError."""

    PASSED = "passed"
    """Every call returned, and every answer was accepted where the caller judged them."""
    FAILED = "failed"
    """A call raised, or the caller refused an answer."""
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    """The process ended before all calls were answered: a signal, an early exit, or garbage on the answer pipe."""
    SYNTAX_ERROR = "syntax_error"
    LOAD_ERROR = "load_error"
    """The program's top level raised."""
    NO_ENTRY_POINT = "no_entry_point"
    OUTPUT_LIMIT = "output_limit"
    """More answer bytes, or more temporary files, than the limits allow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one program may use. Seconds are CPU seconds; one that sleeps or starves gets `wall_factor` as many."""

    call_seconds: float = 4.0
    """Per call, at least; a call with a reference time gets `reference_factor` times that where it is more."""
    reference_factor: float = 4.0
    load_seconds: float = 10.0
    """For the program's top level."""
    total_seconds: float = 60.0
    """For the program and all its calls together."""
    wall_factor: float = 3.0
    """Wall seconds per CPU second in every limit above, time spent waiting for a processor not counted."""
    memory_bytes: int = 4 * GIBIBYTE
    """Address space, the interpreter and NumPy included; evalplus allows as much."""
    scratch_bytes: int = 64 * MEBIBYTE
    """Temporary files, all together; a single file may have a quarter of it."""
    output_bytes: int = 64 * MEBIBYTE
    """Answers, all together, on the wire."""
    digest_bytes: int = 64 * 1024
    """An answer longer than this travels as a digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """A program and what to call it with."""

    program: str
    entry_point: str
    inputs: tuple[bytes, ...]
    """One wire text per call: the list of its positional arguments (see `wire.encode`)."""
    reference_seconds: tuple[float, ...] = ()
    """CPU seconds a known program takes per call; empty, or as many as there are inputs."""
    expand_iterators: bool = False
    """True: an answer that is an iterator is read out in the box, so that its elements can be compared."""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one call returned, as untrusted plain data. Exactly one of `text`, `digest` and `error` is set."""

    index: int
    """Which call, from 0."""
    text: bytes | None = None
    """The value on the wire."""
    digest: str | None = None
    """sha256, hexadecimal, of a long value's normal form (see `normal.normal_digest`)."""
    is_floats: bool = False
    """Of a digest alone: whether the value is a float, or a list or tuple of nothing but floats."""
    error: str | None = None
    """The name of the exception the call raised."""
    seconds: float = 0.0
    """CPU seconds by the box's own clock, encoding included: to be trusted only of trusted programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """How a program ended."""

    outcome: Outcome
    detail: str = ""
    """One short line: the exception's name, the signal, the call that failed. Bounded and printable."""
    num_answers: int = 0
    """Answers received, the one that failed included."""
    answers: tuple[Answer, ...] = ()
    """All answers in order where the caller gave no judge of its own; else empty."""
    seconds: float = 0.0
    """Wall seconds from submission to the end."""
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    """Resident, the server's shared pages included; 0 when unknown."""
    was_killed: bool = False
    """By the system, for memory: the program's own, or that of others on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """How to run programs here."""

    tier: str = "auto"
    """auto, or a tier's name. `auto` takes ns, else bwrap, else ll, else docker, else refuses."""
    allow_unsafe_code: bool = False
    """Must be True for tier none, and changes nothing else."""

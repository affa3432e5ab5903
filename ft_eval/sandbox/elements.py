"""What iterating a value gives, told from its wire tree: equal where `set(value)` would be, without making a set.

Foreign elements are sorted and compared as text: none is hashed but single bytes and characters. Knows no task.
"""

from collections.abc import Sequence

from ft_eval.sandbox.normal import distinct, normal_text, strip
from ft_eval.sandbox.wire import MAX_DEPTH, Tree, WireError, to_tree

_UNHASHABLE = ("numpy.ndarray", "numpy.matrix", "builtins.bytearray")
"""What has no hash where the plain value that it equals has one."""


def element_texts(tree: Tree) -> tuple[str, ...] | None:
    """The distinct normal texts, sorted, of what iterating the value gives: equal where `set(value)` would be.

    None where no set could be equal: the value is no iterable, an element can't be hashed, or one equals nothing.
    """
    elements = _elements(tree)
    if elements is None or not all(_is_hashable(element) for element in elements):
        return None
    texts = [text for element in elements if (text := normal_text(element)) is not None]
    return tuple(distinct(texts)) if len(texts) == len(elements) else None


def _elements(tree: Tree) -> Sequence[Tree] | None:
    plain = strip(tree)
    if isinstance(plain, str):
        return sorted(set(plain))
    match plain:
        case ["l" | "t" | "s", *elements] | ["e", _, *elements]:
            return elements
        case ["d", *parts]:
            return parts[::2]
        case ["b", str(digits)]:
            return sorted(set(_from_hex(digits)))
        case ["u", str(digits)]:
            return [to_tree(character) for character in sorted(set(_text_from_hex(digits)))]
    return None


def _from_hex(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError as error:
        raise WireError("not hexadecimal bytes") from error


def _text_from_hex(digits: str) -> str:
    try:
        return _from_hex(digits).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise WireError("not the bytes of a string") from error


def _is_hashable(tree: Tree, depth: int = 0) -> bool:
    if depth > MAX_DEPTH:
        return False
    match tree:
        case ["t", *rest]:
            return all(_is_hashable(item, depth + 1) for item in rest)
        case ["x", name, inner]:
            return name == "builtins.frozenset" or (name not in _UNHASHABLE and _is_hashable(inner, depth + 1))
        case ["l" | "s" | "d", *_] | ["k", "deque", *_]:
            return False
    return True

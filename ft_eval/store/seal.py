r"""A checksum at the head of a line of JSON, so that a byte that a bad disk, a cut or a hand changed is found.

    {"crc32":"5f0c2d1e","format_version":3,...}\n
              ^^^^^^^^ over the bytes from `"format_version"` to the closing brace

It finds every flipped bit and every cut; it keeps out no forger. Any JSON reader reads the line. Knows no file.
"""

import zlib

_PREFIX = b'{"crc32":"%08x",'
PREFIX_BYTES = len(_PREFIX % 0)


def seal(text: str) -> bytes:
    """The sealed line, with its newline, of a JSON object's ASCII text."""
    body = text.encode("ascii")[1:]
    return _PREFIX % zlib.crc32(body) + body + b"\n"


def is_intact(line: bytes) -> bool:
    """Whether a whole line is, byte for byte, what its checksum says."""
    return line.endswith(b"\n") and line[:PREFIX_BYTES] == _PREFIX % zlib.crc32(line[PREFIX_BYTES:-1])


def unseal(line: bytes) -> bytes:
    """The JSON text of an intact line, without its checksum."""
    return b"{" + line[PREFIX_BYTES:]

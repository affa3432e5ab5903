"""HumanEval+ and MBPP+ asked and read as evalplus's own command line does it, for numbers that compare with its board.

The prompt is stripped and ends with a line break; a completion's tabs become four spaces; prompt and completion
together go through evalplus's sanitizer, which keeps what the function asked for needs. Source: evalplus 0.3.1,
`codegen.py`, `provider/hf.py`, `sanitize.py`. Its sanitizer tries every window of lines, so a text of more than
`MAX_LINES` lines goes past it as it is; so does one that it can't take. Knows no sandbox and no verdict.
"""

import re
from collections.abc import Mapping
from typing import Any

MAX_LINES = 400
"""Its time grows with the square of the lines: a second at 400."""
_LINK = re.compile(r"https?://\S+")


def humaneval_prompt(doc: Mapping[str, Any]) -> str:
    """What a model is asked: a document of evalplus/humanevalplus."""
    return f"{doc['prompt'].strip()}\n"


def mbpp_prompt(doc: Mapping[str, Any]) -> str:
    """What a model is asked: a document of evalplus/mbppplus, as a docstring with its first test, without its links."""
    text = f'"""\n{_LINK.sub("", doc["prompt"])}\n{doc["test_list"][0]}\n"""'
    return f"{text.strip()}\n"


def sanitized(prompt: str, completion: str, entry_point: str) -> str:
    """The program that evalplus would run for a completion."""
    program = prompt + completion.replace("\t", "    ")
    if program.count("\n") > MAX_LINES:
        return program
    from evalplus.sanitize import sanitize  # noqa: PLC0415 — heavy, and only these tasks need it

    try:
        return str(sanitize(program, entrypoint=entry_point))
    except (ValueError, RecursionError, MemoryError):  # a NUL, a text nested too deeply for Python's parser
        return program

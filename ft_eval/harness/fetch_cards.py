"""A dataset card's front matter: the licence, and which files belong to which config and split.

Read as `datasets` reads it: `configs` with `data_files` or `data_dir`; without any, the whole repository is one config.
Knows no hub and no task.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from ft_eval.errors import DataError, did_you_mean

CARD_NAME = "README.md"
_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", flags=re.DOTALL)
_DATA = re.compile(r"\.(parquet|jsonl?|ndjson|csv|tsv|txt|arrow)(\.(gz|bz2|xz|zst|lz4|zip))?\Z", flags=re.IGNORECASE)
_NOT_DATA = frozenset({"dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json", "config.json"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CardConfig:
    """One config of a card."""

    name: str
    patterns: tuple[tuple[str, str], ...]
    """Pairs of a split (empty where the card names none) and a glob pattern from the repository's root; empty where the
    card leaves it to the files' names."""
    data_dir: str
    """The folder that the files' names are looked at in; empty for the root."""
    is_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a card says that matters here."""

    licence: str
    configs: tuple[CardConfig, ...]


def read_card(text: str, repository_id: str) -> Card:
    """The front matter of a dataset card; a card without one says nothing.

    Raises:
        DataError: it is no YAML, or its configs are not as `datasets` reads them.
    """
    found = _FRONT_MATTER.match(text)
    try:
        front = yaml.safe_load(found[1]) if found else None
        fields = front if isinstance(front, dict) else {}
        configs = tuple(_config(one) for one in fields.get("configs") or ())
    except (yaml.YAMLError, RecursionError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"dataset {repository_id}: its {CARD_NAME} can't be read ({type(error).__name__}); choose another revision"
        ) from error
    licence = fields.get("license") or ""
    names = licence if isinstance(licence, list) else [licence]
    return Card(licence=", ".join(name for name in names if isinstance(name, str) and name), configs=configs)


def wanted_configs(card: Card, names: Iterable[str | None], repository_id: str) -> tuple[CardConfig, ...]:
    """The configs behind these names; None is the default one, and all where the card doesn't say which that is.

    Raises:
        DataError: the card has configs, and not this one.
    """
    known = {config.name: config for config in card.configs}
    found: dict[str, CardConfig] = {}
    for name in names:
        if name is not None and known and name not in known:
            raise DataError(f"dataset {repository_id} has no config {name!r}{did_you_mean(name, known)}")
        chosen = _defaults(card) if name is None else [known[name]] if known else []
        found.update({config.name: config for config in chosen})
    return tuple(found.values())


def files_of(config: CardConfig, paths: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Per split the files of a config, among a repository's paths; all under an empty name where it is not told."""
    if not config.patterns:
        return {"": data_files(paths, config.data_dir)}
    found: dict[str, list[str]] = {}
    for split, pattern in config.patterns:
        found.setdefault(split, []).extend(matching(pattern, paths))
    return found


def data_files(paths: Sequence[str], folder: str = "") -> list[str]:
    """The data among a repository's files, where nobody says which: the parquet ones if there are any."""
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    data = [path for path in paths if path.startswith(prefix) and _is_data(path)]
    parquet = [path for path in data if path.lower().endswith(".parquet")]
    return parquet or data


def matching(pattern: str, paths: Iterable[str]) -> list[str]:
    """The paths that a glob pattern takes: `*` within a folder, `**` across folders; a folder stands for its files."""
    plain = pattern.removeprefix("./").rstrip("/")
    whole, below = _glob(plain), _glob(f"{plain}/**")
    paths = list(paths)
    return [path for path in paths if whole.fullmatch(path)] or [path for path in paths if below.fullmatch(path)]


def pattern_list(value: Any) -> tuple[tuple[str, str], ...]:
    """`data_files` as a card or a task file has it, as pairs of split and pattern.

    Raises:
        ValueError: it is in no shape that `datasets` reads, or names what is not in the repository.
        KeyError: a split without a path.
    """
    if isinstance(value, Mapping) and "split" not in value:
        return tuple((_text(split), pattern) for split, one in value.items() for pattern in _patterns(one))
    found: list[tuple[str, str]] = []
    for one in value if isinstance(value, list) else [value]:
        is_split = isinstance(one, Mapping)
        split, patterns = (_text(one["split"]), one["path"]) if is_split else ("", one)
        found += [(split, pattern) for pattern in _patterns(patterns)]
    return tuple(found)


def _patterns(value: Any) -> list[str]:
    patterns = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in patterns):
        raise ValueError("a pattern that is no text")
    return [_inside(one) for one in patterns]


def _config(fields: Any) -> CardConfig:
    if not isinstance(fields, Mapping):
        raise ValueError(f"a config of type {type(fields).__name__}")  # noqa: TRY004 — one kind of error for all shapes
    data_dir = _inside(_text(fields.get("data_dir") or "")).strip("/")
    patterns = pattern_list(fields["data_files"]) if fields.get("data_files") is not None else ()
    prefix = f"{data_dir}/" if data_dir else ""
    return CardConfig(
        name=_text(fields["config_name"]),
        patterns=tuple((split, prefix + pattern) for split, pattern in patterns),
        data_dir=data_dir,
        is_default=bool(fields.get("default")),
    )


def _text(value: Any) -> str:
    """A scalar as a text; a nested value may be large beyond measure once written out."""
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"a {type(value).__name__} where a text is due")


def _defaults(card: Card) -> list[CardConfig]:
    marked = [config for config in card.configs if config.is_default or config.name == "default"]
    return marked[:1] or list(card.configs)


def _inside(pattern: str) -> str:
    if "://" in pattern or pattern.startswith("/") or ".." in pattern.split("/"):
        raise ValueError(f"{pattern} is not in the repository")
    return pattern


def _is_data(path: str) -> bool:
    *folders, name = path.split("/")
    hidden = any(part.startswith((".", "__")) for part in (*folders, name))
    return not hidden and name not in _NOT_DATA and not name.startswith("README") and _DATA.search(name) is not None


def _glob(pattern: str) -> re.Pattern[str]:
    words = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]/]+\])", pattern)
    return re.compile("".join(words.get(part) or (part if _is_set(part) else re.escape(part)) for part in parts))


def _is_set(part: str) -> bool:
    return re.fullmatch(r"\[[\w-]+\]", part) is not None

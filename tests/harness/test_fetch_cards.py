"""A card's configs mean the files that `datasets` itself would take."""

import pytest

from ft_eval.errors import DataError
from ft_eval.harness.fetch_cards import data_files, files_of, matching, read_card, wanted_configs

PATHS = [
    "README.md",
    "data/test-00000-of-00002.parquet",
    "data/test-00001-of-00002.parquet",
    "data/train.parquet",
    "data/deep/er/test.parquet",
    "main/test.jsonl",
    "main/train.jsonl.gz",
    "test.csv",
    "a+b (1).csv",
]
PATTERNS = [
    "data/test-*",
    "data/*.parquet",
    "data/**",
    "data/**/*.parquet",
    "**/test.parquet",
    "**/test*",
    "data/test-0000[0-9]-of-00002.parquet",
    "main/*.jsonl",
    "test.???",
    "a+b (1).csv",
    "*.csv",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_takes_what_datasets_takes(tmp_path, pattern):
    from datasets.data_files import resolve_pattern

    for path in PATHS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    root = str(tmp_path.resolve()) + "/"
    expected = {path.removeprefix(root) for path in resolve_pattern(pattern, base_path=str(tmp_path.resolve()))}
    assert set(matching(pattern, PATHS)) - {"README.md"} == expected
    assert expected


def card(*lines: str):
    return read_card("\n".join(["---", *lines, "---", "# text"]), "org/name")


SPELLINGS = {
    "a pattern": ["  data_files: data/train.parquet"],
    "a list": ["  data_files:", "  - data/train.parquet"],
    "splits": ["  data_files:", "  - split: train", "    path: data/train.parquet"],
    "splits of lists": ["  data_files:", "  - split: train", "    path:", "    - data/train.*"],
    "below a folder": ["  data_dir: data", "  data_files: train.parquet"],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_data_files_is_read(spelling):
    (config,) = card("configs:", "- config_name: main", *SPELLINGS[spelling]).configs
    assert list(files_of(config, PATHS).values()) == [["data/train.parquet"]]


def test_a_config_that_is_a_folder_has_the_data_below_it():
    (config,) = card("configs:", "- config_name: main", "  data_dir: main").configs
    assert files_of(config, PATHS) == {"": ["main/test.jsonl", "main/train.jsonl.gz"]}


def test_parquet_is_preferred_where_nobody_says():
    assert all(path.endswith(".parquet") for path in data_files(PATHS))
    rest = ["test.csv", "dataset_infos.json", ".hidden/a.json", "load.py", "README.txt"]
    assert data_files(rest) == ["test.csv"]


TWO = ("configs:", "- config_name: a", "  data_files: a/*", "- config_name: b", "  data_files: b/*")


def test_the_default_config_is_the_marked_one_else_all():
    assert [one.name for one in wanted_configs(card(*TWO), [None], "org/name")] == ["a", "b"]
    assert [one.name for one in wanted_configs(card(*TWO, "  default: true"), [None, "a"], "org/name")] == ["b", "a"]


def test_a_card_without_configs_has_none():
    assert wanted_configs(read_card("# no front matter", "org/name"), ["main"], "org/name") == ()


@pytest.mark.parametrize(
    ("line", "licence"),
    [("license: mit", "mit"), ("license:\n- mit\n- cc-by-4.0", "mit, cc-by-4.0"), ("x: 1", ""), ("license:", "")],
)
def test_the_licence_is_read(line, licence):
    assert card(line).licence == licence


@pytest.mark.parametrize(
    "lines",
    [
        ["configs: [", ""],
        ["configs:", "- data_files: x"],
        ["configs:", "- 3"],
        ["configs:", "- config_name: a", "  data_files: ../x"],
        ["configs:", "- config_name: a", "  data_files: /etc/passwd"],
        ["configs:", "- config_name: a", "  data_files: https://example.org/x"],
        ["configs:", "- config_name: a", "  data_dir: ../x"],
        ["configs:", "- config_name: a", "  data_files: 7"],
    ],
)
def test_a_card_that_makes_no_sense_is_refused(lines):
    with pytest.raises(DataError, match=r"org/name: its README.md can't be read"):
        card(*lines)

"""Which documents hang together is read off the task file, and told in a few letters."""

from types import SimpleNamespace
from typing import Any

import pytest

from ft_eval.harness.documents import cluster_field, cluster_name


def task(name: str, metadata: dict[str, Any] | None) -> Any:
    return SimpleNamespace(task_name=name, get_config=lambda key: metadata if key == "metadata" else None)


@pytest.mark.parametrize(
    ("name", "metadata", "field"),
    [
        ("mine", {"version": 1.0, "cluster_field": "article"}, "article"),
        ("mine", {"version": 1.0}, None),
        ("mine", None, None),
        ("boolq", {"version": 2.0}, "passage"),
    ],
)
def test_a_task_file_or_a_stock_task_names_its_clusters(name, metadata, field) -> None:
    assert cluster_field(task(name, metadata)) == field


def test_short_names_are_kept_and_passages_are_hashed() -> None:
    passage, other = "It rains. " * 50, "It snows. " * 50
    assert cluster_name({"subject": "anatomy"}, "subject") == "anatomy"
    assert cluster_name({"passage": passage}, "passage") == cluster_name({"passage": passage, "x": 1}, "passage")
    assert cluster_name({"passage": passage}, "passage") != cluster_name({"passage": other}, "passage")
    assert len(str(cluster_name({"passage": passage}, "passage"))) == 16


@pytest.mark.parametrize("document", [{}, {"passage": None}, {"passage": ""}])
def test_a_document_without_the_field_is_in_no_cluster(document) -> None:
    assert cluster_name(document, "passage") is None

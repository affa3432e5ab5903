"""The section records as CSV, Parquet, Markdown and LaTeX; in JSON they stand beside the scores (`exports.py`)."""

import math
from collections.abc import Iterator

from ft_eval.report.escapes import md, md_row, tex_row
from ft_eval.report.formats import NONE, count, interval, one_line, score
from ft_eval.report.record_files import csv_text, parquet_bytes
from ft_eval.report.section_records import SectionRecord, section_records, sections_frame
from ft_eval.report.tables import Report
from ft_eval.report.units import Unit

_HEADINGS = ("Whose", "Task", "Metric", "What", "At", "Value", "95 % interval", "Unit", "Items", "Remark")


def sections_csv(report: Report) -> str:
    """The records as CSV, one line each; an empty field is a number that is not there."""
    return csv_text(SectionRecord, section_records(report))


def sections_parquet(report: Report) -> bytes:
    """The records as Parquet, one row each, columns as in CSV."""
    return parquet_bytes(sections_frame(report))


def sections_latex(report: Report) -> str:
    """A table for the booktabs package; the sections are parted by rules."""
    lines = [rf"\begin{{tabular}}{{llll{'r' * 3}lrl}}", r"\toprule", tex_row(_HEADINGS)]
    for _, rows in _by_section(report):
        lines += [r"\midrule", *map(tex_row, rows)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def markdown_sections(report: Report) -> list[str]:
    """The lines of a heading and a table for each section."""
    lines: list[str] = []
    for section, rows in _by_section(report):
        lines += ["", f"## {md(section[0].upper() + section[1:])}", "", md_row(_HEADINGS)]
        lines += [md_row(["---"] * len(_HEADINGS)), *(md_row([md(cell) for cell in row]) for row in rows)]
    return lines


def _by_section(report: Report) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    records = section_records(report)
    for section in dict.fromkeys(record.section for record in records):
        yield section, [_cells(record) for record in records if record.section == section]


def _cells(record: SectionRecord) -> tuple[str, ...]:
    is_points = record.unit == Unit.POINTS
    show = Unit.POINTS if is_points else Unit.RAW
    ends = interval(record.low, record.high, show)
    at = NONE if math.isnan(record.position) else f"{record.position:,.0f}"
    num_items = NONE if record.num_items is None else count(record.num_items)
    texts = (record.label, record.task, record.metric, record.quantity)
    named = (one_line(text) or NONE for text in texts)
    return (*named, at, score(record.value, show), ends, record.unit or NONE, num_items, one_line(record.text) or NONE)

"""Turns a `Report` into files: one HTML page, and the scores as CSV, Markdown, LaTeX and JSON. Computes nothing.

Everything that a template prints is made visible (no control characters, no direction marks) and then escaped, so model
output stays text by construction. The templates run in jinja2's sandbox, and an unknown name is an error.
"""

import base64
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from ft_eval.report import formats
from ft_eval.report.catalog import policy_text
from ft_eval.report.charts import cost_chart, line_chart
from ft_eval.report.columns import RunReader, StoredRun
from ft_eval.report.every_eval_ever import FOLDER, every_eval_ever_files
from ft_eval.report.every_eval_ever_samples import SampleRows, write_sample_rows
from ft_eval.report.explorer_data import pack
from ft_eval.report.exports import to_csv, to_json, to_latex, to_markdown, to_parquet
from ft_eval.report.section_exports import sections_csv, sections_latex, sections_parquet
from ft_eval.report.tables import Report
from ft_eval.report.words import gain_interval_text
from ft_eval.resources import templates_dir
from ft_eval.stats import VarianceSplit, Verdict
from ft_eval.store.files import make_folder, refuse_in_place_of_file, write_atomically

MARKS = {Verdict.BETTER: "▲", Verdict.WORSE: "▼", Verdict.EQUIVALENT: "◆", Verdict.UNRESOLVED: "○"}
"""A shape for each verdict, so that colour is never alone."""


def write_report(report: Report, folder: Path, samples: Sequence[StoredRun | RunReader] = ()) -> tuple[Path, ...]:
    """Write report.html, scores and sections in several formats, and Every Eval Ever's files; each is whole or absent.

    Args:
        report: what is written.
        folder: where.
        samples: the runs whose samples are to stand in Every Eval Ever's instance-level format too; none: they don't.

    Raises:
        StoreError: the folder can't be made or written, or what is no file stands where one is due.
    """
    refuse_in_place_of_file(folder / FOLDER)
    rows = write_sample_rows(report, samples, folder) if samples else {}
    texts = {
        "report.html": render_html(report),
        "scores.csv": to_csv(report),
        "scores.md": to_markdown(report),
        "scores.tex": to_latex(report),
        "scores.json": to_json(report),
        "sections.csv": sections_csv(report),
        "sections.tex": sections_latex(report),
        **{f"{FOLDER}/{name}": text for name, text in every_eval_ever_files(report, _details(rows)).items()},
    }
    contents = {name: text.encode("utf-8") for name, text in texts.items()}
    contents |= {"scores.parquet": to_parquet(report), "sections.parquet": sections_parquet(report)}
    for name in contents:
        refuse_in_place_of_file(folder / name)
    make_folder(folder)
    if any(name.startswith(f"{FOLDER}/") for name in texts):
        make_folder(folder / FOLDER)
    for name, content in contents.items():
        write_atomically(folder / name, [content])
    return (*(folder / name for name in contents), *(folder / FOLDER / one.file_path for one in rows.values()))


def _details(rows: Mapping[str, SampleRows]) -> dict[str, dict[str, object]] | None:
    """Where each contender's samples stand, in the format's own words."""
    if not rows:
        return None
    return {
        label: {
            "format": "jsonl",
            "file_path": one.file_path,
            "hash_algorithm": "sha256",
            "checksum": one.sha256,
            "total_rows": one.num_rows,
        }
        for label, one in rows.items()
    }


def render_html(report: Report) -> str:
    """The page, the same for the same report."""
    style = "".join(map(_part, ("_style.css.j2", "_explorer.css.j2", "_probe.css.j2")))
    script = _part("_marks.js") + _part("_explorer.js")
    packed = None if report.explorer is None else pack(report.explorer)
    policy = content_policy(style, script if packed else "")
    template = page_environment().get_template("report.html.j2")
    return template.render(report=report, packed=packed, style=Markup(style), script=Markup(script), policy=policy)  # noqa: S704 — our own files


def content_policy(style: str, script: str) -> str:
    """The page's Content-Security-Policy: nothing is fetched, and nothing runs but this style and this script."""
    scripts = f"script-src {_source(script)}; require-trusted-types-for 'script'; " if script else ""
    return (
        f"default-src 'none'; style-src {_source(style)}; {scripts}img-src data:; base-uri 'none'; form-action 'none'"
    )


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _part(name: str) -> str:
    """A file of the templates' folder as it is; what is hashed is what stands in the page."""
    return (templates_dir() / name).read_text(encoding="utf-8")


def page_environment() -> ImmutableSandboxedEnvironment:
    """What renders every page: escaped, sandboxed, and strict about names that are not there."""
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(templates_dir()),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        bits=formats.bits,
        bits_per_token=formats.bits_per_token,
        breakable=_breakable,
        cost_chart=cost_chart,
        count=formats.count,
        gain_interval=gain_interval_text,
        interval=formats.interval,
        line_chart=line_chart,
        magnitude=formats.magnitude,
        mark=_mark,
        nats=_nats,
        num_bytes=formats.num_bytes,
        p_value=formats.p_value,
        percent=formats.percent,
        policy=policy_text,
        prose=formats.prose,
        score=formats.score,
        seconds=formats.seconds,
        signed=formats.signed,
        tiny=formats.tiny,
        unsigned=formats.unsigned,
        variance_total=_variance_total,
    )
    return environment


def _finalize(value: object) -> object:
    """Called on every value before it is escaped. What a macro has made (Markup) has been through it already."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return formats.visible(value)
    return value


def _breakable(name: str) -> Markup:
    """A name that may go on in the next line after an underscore or a slash, and nowhere else."""
    pieces = re.split("(?<=[_/])", formats.one_line(name))
    return Markup("<wbr>").join(pieces)


def _variance_total(split: VarianceSplit) -> float:
    """The variance of the mean from all sources that show a spread; none counts below 0."""
    parts = [part.variance / part.num_units for part in split.components]
    return sum(part for part in parts if not math.isnan(part))


def _mark(verdict: str) -> str:
    return MARKS[Verdict(verdict)]


def _nats(value: float) -> str:
    return f"{value:.2f}".replace("-", formats.MINUS)

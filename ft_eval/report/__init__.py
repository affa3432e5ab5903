"""Run stores to one page: data first (`build_report`), then layout (`write_report`), and rows for a terminal."""

from ft_eval.report.build import build_report
from ft_eval.report.columns import RunReader
from ft_eval.report.gate import EXIT_CODES, Check, GateResult, Outcome, check_policy
from ft_eval.report.junit import junit_xml
from ft_eval.report.policy import Policy, load_policy
from ft_eval.report.render import render_html, write_report
from ft_eval.report.samples_file import recorded_runs
from ft_eval.report.scores import ScoreRecord, score_records, scores_frame
from ft_eval.report.tables import Report, RowKind
from ft_eval.report.text import SummaryRow, summary_lines, summary_rows
from ft_eval.report.verdicts import Terms
from ft_eval.stats import Verdict

__all__ = [
    "EXIT_CODES",
    "Check",
    "GateResult",
    "Outcome",
    "Policy",
    "Report",
    "RowKind",
    "RunReader",
    "ScoreRecord",
    "SummaryRow",
    "Terms",
    "Verdict",
    "build_report",
    "check_policy",
    "junit_xml",
    "load_policy",
    "recorded_runs",
    "render_html",
    "score_records",
    "scores_frame",
    "summary_lines",
    "summary_rows",
    "write_report",
]

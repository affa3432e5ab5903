"""A gate's checks as JUnit XML, the format that CI servers read. Knows no statistics."""

from collections import Counter
from xml.etree import ElementTree as ET

from ft_eval.report.formats import one_line
from ft_eval.report.gate import Check, GateResult, Outcome


def junit_xml(result: GateResult, *, name: str, timestamp: str) -> str:
    """One suite per latent, one case per check: a failure where it fails, an error where it can't be told.

    Args:
        result: the checks.
        name: of all suites together, such as the policy's file.
        timestamp: of the runs, ISO 8601; the same runs and policy give the same text.
    """
    root = ET.Element("testsuites", _counts(result.checks) | {"name": one_line(name)})
    for latent in dict.fromkeys(check.latent for check in result.checks):
        own = tuple(check for check in result.checks if check.latent == latent)
        suite = ET.SubElement(
            root, "testsuite", _counts(own) | {"name": one_line(latent) or "runs", "timestamp": timestamp}
        )
        for check in own:
            _add_case(suite, check)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add_case(suite: ET.Element, check: Check) -> None:
    case = ET.SubElement(
        suite, "testcase", {"classname": one_line(check.latent or "runs"), "name": one_line(_title(check)), "time": "0"}
    )
    if check.outcome is Outcome.PASS:
        ET.SubElement(case, "system-out").text = one_line(check.found)
    else:
        kind = "failure" if check.outcome is Outcome.FAIL else "error"
        found = {"type": check.outcome.value, "message": one_line(check.found)}
        ET.SubElement(case, kind, found).text = one_line(f"{_title(check)}: {check.found}")


def _title(check: Check) -> str:
    return f"{check.task}: {check.rule}" if check.task else check.rule


def _counts(checks: tuple[Check, ...]) -> dict[str, str]:
    number = Counter(check.outcome for check in checks)
    num_errors = number[Outcome.INCONCLUSIVE] + number[Outcome.INCOMPLETE]
    return {"tests": str(len(checks)), "failures": str(number[Outcome.FAIL]), "errors": str(num_errors)}

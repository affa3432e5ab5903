"""`build_report`: from run stores to the report's data. Lays nothing out and writes nothing."""

from collections.abc import Sequence
from dataclasses import replace

from ft_eval.records import Registration, TaskGroup
from ft_eval.report.arms import make_arm_tables
from ft_eval.report.catalog import Catalog, Matchup, make_catalog, match_up
from ft_eval.report.columns import RunReader, StoredRun, as_readers
from ft_eval.report.compare import Question, is_higher_better, make_metric_row
from ft_eval.report.cost import make_asked_again, make_costs, make_job_costs
from ft_eval.report.deviations import make_plan_card
from ft_eval.report.evidence import Evidence, gather_evidence
from ft_eval.report.explorer import Sources, choose, make_explorer, wanted_texts
from ft_eval.report.flips import make_flips
from ft_eval.report.forest import make_forests
from ft_eval.report.formats import count
from ft_eval.report.headline import summarize
from ft_eval.report.judge import check_terms, find_family, judge_rows
from ft_eval.report.latent import latent_notes, make_usage_rows
from ft_eval.report.noise import make_noise_rows, make_variance_rows
from ft_eval.report.picks import Picks
from ft_eval.report.pooled import make_pooled
from ft_eval.report.provenance import make_run_card, make_task_card
from ft_eval.report.published import published_figures
from ft_eval.report.read_jobs import refuse_other_forms, stands_in
from ft_eval.report.tables import Panel, Report, RowKind, TaskRow
from ft_eval.report.texts import read_texts
from ft_eval.report.trainings import make_curves, make_last_thirds
from ft_eval.report.verdicts import Terms
from ft_eval.report.words import panel_sentence

NO_TERMS = Terms()
MAX_FLIPS = 20
"""Flips shown without a script, per task and latent checkpoint; fewer where there are many of these."""
_MAX_ALL_FLIPS = 240
_FEWEST_FLIPS = 2


def build_report(
    runs: Sequence[StoredRun | RunReader],
    *,
    title: str = "",
    max_flips: int = MAX_FLIPS,
    terms: Terms = NO_TERMS,
    registration: Registration | None = None,
    reference: str = "",
) -> Report:
    """Compare what the runs hold, finished or not; the same runs and terms give the same report.

    Args:
        runs: on disk, or as `recorded_runs` gives them.
        title: of the page.
        max_flips: shown per task and latent checkpoint.
        terms: what is not said there is taken from what the runs were started with.
        registration: the plan to hold the runs to; None takes the one that they were started with.
        reference: a source of published figures, or none.

    Raises:
        ReportError: no run, no job, one checkpoint name for two sets of weights, or terms that nothing here meets.
        StoreError: a run can't be read.
    """
    stores = as_readers(runs)
    catalog = replace(make_catalog(stores), allows_unpaired=terms.unpaired)
    if not terms.unpaired:
        refuse_other_forms(catalog, match_up(catalog.contenders))
    terms = _with_labels(with_declared(terms, stores, registration), catalog)
    check_terms(terms, [*catalog.tasks, *(group.name for group in catalog.groups)])
    matchups, usages, picks = match_up(catalog.contenders), make_usage_rows(catalog), Picks()
    panels = tuple(_panel(catalog, matchup, number, terms, picks) for number, matchup in enumerate(matchups, start=1))
    last_thirds = make_last_thirds(catalog, panels)
    keys = choose(picks, _num_samples(catalog, matchups, picks))
    texts = read_texts(catalog, wanted_texts(keys, picks, matchups))
    sources = Sources(picks=picks, texts=texts, catalog=catalog, matchups=matchups)
    max_flips = min(max_flips, max(_FEWEST_FLIPS, _MAX_ALL_FLIPS // picks.num_lists))
    return Report(
        title=title or "Latent against baseline",
        created_at=max(store.plan.created_at for store in stores),
        stamps=_stamps(catalog),
        terms=terms,
        summary=summarize(panels, terms, len(catalog.missing), catalog.num_jobs, last_thirds),
        notes=(*_notes(catalog), *latent_notes(usages)),
        missing=catalog.missing,
        panels=tuple(_with_flips(panel, sources, max_flips) for panel in panels),
        explorer=make_explorer(keys, sources),
        usages=usages,
        costs=make_costs(catalog, matchups),
        job_costs=make_job_costs(catalog, matchups),
        asked_again=make_asked_again(catalog),
        contenders=catalog.contenders,
        runs=tuple(make_run_card(store) for store in stores),
        tasks=tuple(make_task_card(catalog, task) for task in catalog.tasks),
        noise=make_noise_rows(panels, stores),
        variances=make_variance_rows(catalog, panels),
        curves=make_curves(catalog, panels),
        last_thirds=last_thirds,
        plan=make_plan_card(stores, terms, registration),
        published=published_figures(reference, _row_names(panels)) if reference else (),
    )


def with_declared(terms: Terms, stores: Sequence[RunReader], registration: Registration | None) -> Terms:
    """The terms with what they leave open as the plan, or else the runs themselves, declared it."""
    plans = [registration] if registration else [store.plan for store in stores]
    primary = tuple(dict.fromkeys(name for plan in plans for name in plan.primary))
    margins = [plan.margin_points for plan in plans if plan.margin_points is not None]
    return replace(
        terms,
        primary=terms.primary or primary,
        margin_points=terms.margin_points if terms.margin_points is not None else min(margins, default=None),
    )


def _row_names(panels: Sequence[Panel]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.name for panel in panels for row in panel.rows))


def _with_labels(terms: Terms, catalog: Catalog) -> Terms:
    """The primary tasks by the labels that they have here, which say more than a name that stands for several."""
    labels = {
        name: [label for label, task in catalog.tasks.items() if name in (label, task.name)] for name in terms.primary
    }
    return replace(terms, primary=tuple(dict.fromkeys(one for name in terms.primary for one in labels[name] or [name])))


def _panel(catalog: Catalog, matchup: Matchup, number: int, terms: Terms, picks: Picks) -> Panel:
    rows = tuple(_rows(catalog, matchup, number, picks))
    family, rows = find_family(rows, matchup, terms), judge_rows(rows, matchup, terms)
    return Panel(
        number=number,
        baseline=matchup.baseline,
        latents=matchup.latents,
        sentence=panel_sentence(matchup.baseline, matchup.latents),
        rows=rows,
        forests=make_forests(rows, matchup.latents),
        family=family,
        pooled=make_pooled(rows, family, terms),
        arms=make_arm_tables(rows, matchup),
    )


def _rows(catalog: Catalog, matchup: Matchup, number: int, picks: Picks) -> list[TaskRow]:
    """In the plan's order, a group where the first of its tasks stands; a task of two groups is shown in both."""

    def gather(task: str) -> Evidence:
        evidence = gather_evidence(catalog, matchup, task)
        picks.collect(number, matchup, evidence)
        return evidence

    contenders = [c for c in (matchup.baseline, *matchup.latents) if c is not None]
    ran = [task for task in catalog.tasks if any(catalog.entry(c, task) for c in contenders)]
    tasks = [task for task in ran if not stands_in(catalog, matchup, task)]
    rows: list[TaskRow] = []
    for task in tasks:
        groups = [group for group in catalog.groups if task in group.tasks]
        if not groups:
            rows.append(_task_row(matchup, gather(task), ""))
        for group in groups:
            members = [other for other in group.tasks if other in tasks]
            if task == members[0]:
                rows += _group_rows(matchup, group, [gather(member) for member in members])
    return rows


def _group_rows(matchup: Matchup, group: TaskGroup, evidences: Sequence[Evidence]) -> list[TaskRow]:
    subtasks = [_task_row(matchup, evidence, group.name) for evidence in evidences]
    return [_group_row(matchup, group, evidences, subtasks), *subtasks]


def _group_row(
    matchup: Matchup, group: TaskGroup, evidences: Sequence[Evidence], subtasks: Sequence[TaskRow]
) -> TaskRow:
    primary = group.metric or subtasks[0].primary.metric
    shared = [m for m in evidences[0].metrics if m != primary and all(m in e.metrics for e in evidences)]
    shots, limits = {row.num_fewshot for row in subtasks}, {row.limit for row in subtasks}
    questions = [
        Question(
            metric=metric,
            is_primary=metric == primary,
            higher_is_better=_is_higher_better(metric, evidences),
            weight_by_size=group.weight_by_size,
        )
        for metric in (primary, *shared)
    ]
    return TaskRow(
        name=group.name,
        kind=RowKind.GROUP,
        group="",
        num_subtasks=len(subtasks),
        num_docs=sum(row.num_docs for row in subtasks),
        num_fewshot=shots.pop() if len(shots) == 1 else None,
        limit=limits.pop() if len(limits) == 1 else None,
        metrics=tuple(make_metric_row(question, evidences, matchup) for question in questions),
        notes=_group_notes(group, evidences),
    )


def _is_higher_better(metric: str, evidences: Sequence[Evidence]) -> bool:
    """As the first task says whose primary metric it is; by its name where it is nobody's."""
    said = (e.task.higher_is_better for e in evidences if e.task.metric == metric)
    return next(said, is_higher_better(metric))


def _group_notes(group: TaskGroup, evidences: Sequence[Evidence]) -> tuple[str, ...]:
    way = "mean over all items (micro)" if group.weight_by_size else "mean over tasks (macro)"
    notes = [f"{way} of {count(len(evidences), 'task')}"]
    if len(group.tasks) > len(evidences):
        notes.append(f"partial: {len(evidences)} of {count(len(group.tasks), 'task')} were run")
    for who in evidences[0].states:
        num_done = sum(evidence.states[who] == "done" for evidence in evidences)
        if num_done < len(evidences):
            notes.append(f"partial: {who} has finished {num_done} of {count(len(evidences), 'task')}")
    if limited := sum(evidence.task.limit is not None for evidence in evidences):
        notes.append(f"partial: first documents only in {count(limited, 'task')}")
    noted = sum(len(e.notes) > (e.task.limit is not None) for e in evidences)
    if noted:
        notes.append(f"{count(noted, 'task')} with a remark of {'its' if noted == 1 else 'their'} own, below")
    return tuple(notes)


def _task_row(matchup: Matchup, evidence: Evidence, group: str) -> TaskRow:
    task = evidence.task
    questions = [
        Question(
            metric=metric,
            is_primary=metric == task.metric,
            higher_is_better=task.higher_is_better if metric == task.metric else is_higher_better(metric),
        )
        for metric in evidence.metrics
    ]
    return TaskRow(
        name=evidence.label,
        kind=RowKind.SUBTASK if group else RowKind.TASK,
        group=group,
        num_subtasks=0,
        num_docs=task.num_docs,
        num_fewshot=task.num_fewshot,
        limit=task.limit,
        metrics=tuple(make_metric_row(question, [evidence], matchup) for question in questions),
        notes=evidence.notes,
    )


def _num_samples(catalog: Catalog, matchups: Sequence[Matchup], picks: Picks) -> dict[tuple[int, str], int]:
    """Samples per document over all contenders of a panel, by (panel's number, task's label)."""
    found = {}
    for number, task in picks.by_task:
        matchup = matchups[number - 1]
        results = [
            entry.result for c in (matchup.baseline, *matchup.latents) if c and (entry := catalog.entry(c, task))
        ]
        num_docs = max(1, catalog.tasks[task].num_docs)
        found[number, task] = max(1, sum(result.num_samples for result in results if result) // num_docs)
    return found


def _with_flips(panel: Panel, sources: Sources, max_flips: int) -> Panel:
    """The panel with the texts of some of the answers that changed."""
    if panel.baseline is None or not max_flips:
        return panel
    rows, tasks = [], sources.catalog.tasks
    for row in panel.rows:
        lists = [
            make_flips(found, row.name, tasks[row.name].metric, panel.baseline.label, sources.texts, max_flips)
            for found in sources.picks.by_task.get((panel.number, row.name), ())
            if found.changed and row.kind is not RowKind.GROUP
        ]
        rows.append(replace(row, flips=tuple(lists)))
    return replace(panel, rows=tuple(rows))


def _stamps(catalog: Catalog) -> tuple[str, ...]:
    limits = sorted({task.limit for task in catalog.tasks.values() if task.limit is not None})
    stamps = [f"partial: first {' or '.join(str(limit) for limit in limits)} documents"] if limits else []
    if catalog.missing:
        stamps.append(f"in progress: {len(catalog.missing)} of {count(catalog.num_jobs, 'job')} unfinished")
    return tuple(stamps)


def _notes(catalog: Catalog) -> tuple[str, ...]:
    done = [entry for entry in catalog.entries.values() if entry.result]
    unscored = sum(entry.result.num_unscored for entry in done if entry.result)
    truncated = sum(entry.result.num_truncated for entry in done if entry.result)
    notes = []
    if unscored:
        notes.append(f"{count(unscored, 'document')} could not be scored; see the tasks' remarks")
    if truncated:
        notes.append(f"{count(truncated, 'prompt')} cut on the left to fit the context; see the tasks' remarks")
    return tuple(notes)

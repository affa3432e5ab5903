"""Where the runs and tasks of a report come from. Reads plans and results, never samples."""

from ft_eval.report.cards import RunCard, TaskCard
from ft_eval.report.catalog import Catalog
from ft_eval.report.columns import RunReader


def make_run_card(store: RunReader) -> RunCard:
    """Where a run comes from."""
    plan = store.plan
    return RunCard(
        run_id=plan.run_id,
        created_at=plan.created_at,
        command=plan.command,
        environment=plan.environment,
        device=plan.engine.device,
        batch_size=plan.engine.batch_size,
        num_jobs=len(plan.jobs),
        num_done=sum(store.result(job.id) is not None for job in plan.jobs),
    )


def make_task_card(catalog: Catalog, label: str) -> TaskCard:
    """Scoring details are said once where all contenders agree."""
    entries = {who: entry.result for (who, task), entry in catalog.entries.items() if task == label and entry.result}
    scoring = [(who, result.scoring) for who, result in entries.items() if result.scoring]
    if len(scoring) > 1 and all(details == scoring[0][1] for _, details in scoring):
        scoring = [("all", scoring[0][1])]
    return TaskCard(task=catalog.tasks[label], scoring=tuple(scoring))

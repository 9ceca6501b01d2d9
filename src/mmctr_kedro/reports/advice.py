"""What to try next: a table of what a run may show and what helps then, each with its command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from mmctr_kedro.models.settings import CtrParams, FixedCtrParams
from mmctr_kedro.reports.text import LABELS, way_to

Metrics = dict[str, Any]


class Shown(NamedTuple):
    """What a run shows of one task; its fields stand in sentences and commands as ``{name}``."""

    task: str
    label: str
    model: str
    fixed: bool  # Task 1's model, of which only five values may be tuned
    simulated: bool
    auc: float
    why: str  # it may not be submitted
    leak: float  # of the AUC, by the levels
    way: float  # from chance to the best reachable AUC; 1 where that is not known
    way_without_leak: float
    our_embedding: bool
    recall: float  # of the next click, by the embedding alone
    recall_provided: float  # by the provided one; 0 where it is not known
    unseen: float  # AUC of items that train never shows
    unseen_worse: bool  # beyond its interval
    predicted: float  # clicks for each one made
    epochs: int
    best_epoch: int
    allowed: int  # epochs
    more_epochs: int
    slower: float  # learning rate
    stronger: float  # L2 of the network


class Advice(NamedTuple):
    """A row of the table."""

    when: Callable[[Shown], bool]
    says: str
    command: str


ADVICE = (
    Advice(
        lambda run: bool(run.why),
        "It may not be submitted: {why}. Every rule, with its evidence and how to mend it:",
        "kedro run --pipeline rules --namespaces {task}",
    ),
    Advice(
        lambda run: run.leak > 0.05,
        "{leak:.3f} of its AUC is the levels' leak, which rows in use do not have. The model that does without, "
        "on rows of your own:",
        "kedro run --pipeline score --namespaces {task} --params score.input=rows.parquet",
    ),
    Advice(
        lambda run: run.best_epoch == run.allowed < run.more_epochs,
        "The last epoch that was allowed was the best one: more may still gain.",
        "kedro run --pipeline {task} --params {task}.ctr.epochs={more_epochs}",
    ),
    Advice(
        lambda run: run.best_epoch == 1 and run.epochs > 2,
        "The first epoch was the best one, so it may learn too fast. A lower rate:",
        "kedro run --pipeline {task} --params {task}.ctr.learning_rate={slower:g}",
    ),
    Advice(
        lambda run: run.fixed and run.way < 0.8,
        "The fixed DIN has gone {way:.0%} of the way from chance to the best reachable AUC. Its values may be tuned:",
        "kedro run --pipeline tune --namespaces {task} --params tune.minutes=15",
    ),
    Advice(
        lambda run: not run.fixed and run.model == "din",
        "Its model is DIN, which this task does not ask for. Our own:",
        "kedro run --pipeline {task} --params {task}.ctr.model.name=evidence",
    ),
    Advice(
        lambda run: run.our_embedding and run.recall < run.recall_provided,
        "The nearest items to a user's clicks hold the next one less often by our embedding ({recall:.1%}) than by the "
        "provided one ({recall_provided:.1%}). All variants of ours, each with its scorecard:",
        "kedro run --pipeline embedding_variants",
    ),
    Advice(
        lambda run: run.our_embedding and run.way_without_leak < 0.6,
        "Without the leak it has gone {way_without_leak:.0%} of the way: our embedding tells too little of taste. All "
        "variants of it, each with its scorecard:",
        "kedro run --pipeline embedding_variants",
    ),
    Advice(
        lambda run: run.our_embedding and run.unseen_worse,
        "Items that train never shows are ranked worse (AUC {unseen:.3f}, not {auc:.3f}): only their content tells of "
        "them. An encoder tuned by clicks:",
        "kedro run --pipeline finetune",
    ),
    Advice(
        lambda run: abs(run.predicted - 1) > 0.1,
        "It predicts {predicted:.2f} clicks for each one made: its probabilities order rows, which is all that AUC "
        "asks, and are no shares. More regularisation may bring them a little nearer:",
        "kedro run --pipeline {task} --params {task}.ctr.net_regularizer={stronger:g}",
    ),
    Advice(
        lambda run: run.simulated,
        "These data are simulated. Real ratings, titles and posters:",
        "kedro run --env movielens",
    ),
)
OTHERWISE = Advice(
    lambda run: True,
    "Nothing stands out. Settings that suit these data better, if there are any:",
    "kedro run --pipeline tune --namespaces {task} --params tune.minutes=15",
)


def shown(
    metrics: Metrics, settings: CtrParams | FixedCtrParams, simulated: bool, recall_provided: float | None
) -> Shown | None:
    """What the table asks of one task; None where there is no AUC."""
    auc, left, ceilings = metrics["auc"], metrics["without_leak"], metrics["ceilings"]
    if auc is None:
        return None
    without_leak = left["auc"] if left else None
    ceiling = ceilings["posterior_without_levels"] if ceilings else None
    way, way_left = way_to(metrics["best_reachable_auc"], auc), way_to(ceiling, without_leak)
    unseen = metrics["auc_unseen_items"]
    return Shown(
        task=metrics["task"],
        label=LABELS[metrics["task"]],
        model=metrics["model"],
        fixed=isinstance(settings, FixedCtrParams),
        simulated=simulated,
        auc=auc,
        why="; ".join(metrics["not_submittable"]),
        leak=auc - without_leak if without_leak is not None else 0.0,
        way=1.0 if way is None else way,
        way_without_leak=1.0 if way_left is None else way_left,
        our_embedding=bool(metrics["embedding"]["encoders"]),
        recall=metrics["embedding"]["next_item_recall_at_100"] or 0.0,
        recall_provided=recall_provided or 0.0,
        unseen=unseen["auc"],
        unseen_worse=unseen["auc_interval"] is not None and unseen["auc_interval"][1] < auc,
        predicted=metrics["predicted_per_click"] or 1.0,
        epochs=metrics["epochs"],
        best_epoch=metrics["best_epoch"],
        allowed=settings.epochs,
        # The organisers' schedule ends at 100 epochs, and more would break a rule.
        more_epochs=100 if isinstance(settings, FixedCtrParams) else 2 * settings.epochs,
        slower=float(f"{settings.learning_rate / 3:.1g}"),
        stronger=3 * settings.net_regularizer or 1e-3,
    )


def advise(runs: list[Shown | None]) -> list[dict[str, str]]:
    """What to try next, in the order of the table: ``says`` and ``command``; of several tasks also ``label``.

    The same command for several tasks comes once, with the sentence of the first.
    """
    known = [run for run in runs if run is not None]
    found: dict[str, dict[str, str]] = {}
    for advice in ADVICE:
        for run in filter(advice.when, known):
            command = advice.command.format(**run._asdict())
            if command in found:
                if run.label not in found[command]["label"].split(", "):
                    found[command]["label"] += f", {run.label}"
            else:
                found[command] = {"label": run.label, "says": advice.says.format(**run._asdict()), "command": command}
    if not found and known:
        run = known[-1]
        found[""] = {"label": run.label, "says": OTHERWISE.says, "command": OTHERWISE.command.format(**run._asdict())}
    return list(found.values())

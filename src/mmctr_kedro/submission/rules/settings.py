"""Rules that settings can break."""

from __future__ import annotations

from collections.abc import Iterator

from mmctr_kedro.common.params import (
    MODEL_PARAMS,
    CtrParams,
    EmbeddingParams,
    FixedCtrParams,
    ProcessingParams,
    SubmissionParams,
    TrainingControls,
)
from mmctr_kedro.data.challenge import EMBEDDING_WIDTH, HISTORY_WIDTH
from mmctr_kedro.running.project import Project
from mmctr_kedro.submission.rules.verdict import Verdict

TASK1 = "organisers' page, Task 1: a fixed CTR model, five values may be tuned"
TASK2 = "organisers' page, Task 2: model structure and hyperparameters may change"
FEATURES = "organisers' page: the input features may not change, no additional features"
SPLIT = "organisers' page: trained end to end on the given features and split"
FINAL = "organisers' page, final round: training and inference must be reproducible from the submitted code"

_TUNABLE = [name for name in FixedCtrParams.model_fields if name not in TrainingControls.model_fields]
_FIXED_CONTROLS = ("epochs", "patience", "precision")


def differences_from_fixed(settings: FixedCtrParams, max_history: int) -> list[str]:
    """What differs from the organisers' values and may not be tuned in Task 1."""
    official = FixedCtrParams()
    found = [
        f"{name} is {getattr(settings, name)}, not {getattr(official, name)}"
        for name in _FIXED_CONTROLS
        if getattr(settings, name) != getattr(official, name)
    ]
    if max_history != HISTORY_WIDTH:
        found.append(f"histories end at {max_history} clicks, not {HISTORY_WIDTH}")
    return found


def judge_settings(
    task: str,
    ctr: CtrParams | FixedCtrParams,
    processing: ProcessingParams,
    embedding: EmbeddingParams,
    submission: SubmissionParams,
    project: Project,
) -> Iterator[Verdict]:
    """What can be told before any work.

    Args:
        task: A submission type (``params.TASKS``).
        ctr: The task's own.
    """
    yield _model(task, ctr, processing)
    yield Verdict(
        "No feature is added to the given ones.",
        FEATURES + " (likes and views of history items are one)",
        not processing.history_levels,
        f"processing.history_levels is {str(processing.history_levels).lower()}",
        "--params processing.history_levels=false",
    )
    if task != "task2":
        yield Verdict(
            f"An item embedding has {EMBEDDING_WIDTH} numbers.",
            "organisers' page, Task 1: a 128-d vector per item",
            embedding.width == EMBEDDING_WIDTH,
            f"embedding.width is {embedding.width}",
            f"--params embedding.width={EMBEDDING_WIDTH}",
        )
        yield Verdict(
            "The embedding learns from the clicks of train alone.",
            SPLIT + "; item_seq.parquet has the histories of valid and test users too",
            embedding.histories == "train",
            f"embedding.histories is {embedding.histories}",
            "--params embedding.histories=train",
        )
    yield _reproducible(project)
    yield Verdict(
        "The run holds itself to the rules.",
        "this project: what was built for research stays research",
        submission.rules == "official",
        f"submission.rules is {submission.rules}",
        "--params submission.rules=official",
    )


def _model(task: str, ctr: CtrParams | FixedCtrParams, processing: ProcessingParams) -> Verdict:
    if task == "task1":
        values = ctr.model_dump() if isinstance(ctr, FixedCtrParams) else {}
        tuned = ", ".join(f"{name} {values[name]:g}" for name in _TUNABLE if name in values)
        wrong = differences_from_fixed(ctr, processing.max_history) if isinstance(ctr, FixedCtrParams) else ["no DIN"]
        return Verdict(
            "The CTR model is the fixed DIN, run as the organisers run it; only its five values are tuned.",
            TASK1,
            not wrong,
            "; ".join(wrong) or f"fixed DIN with {tuned}; 100 epochs at most, patience 3, fp32, histories of 64",
            "Set the organisers' values: --params "
            f"task1.ctr.epochs=100,task1.ctr.patience=3,task1.ctr.precision=fp32,processing.max_history={HISTORY_WIDTH}",
        )
    name = ctr.model.name if isinstance(ctr, CtrParams) else "the fixed DIN"
    return Verdict(
        "The CTR model is one neural network: no ensemble, no tree model, no pretrained large model.",
        TASK2 + "; one neural network",
        name in MODEL_PARAMS,
        f"{task}.ctr.model.name is {name}, one of models/",
        f"--params {task}.ctr.model.name=<one of {', '.join(MODEL_PARAMS)}>",
    )


def _reproducible(project: Project) -> Verdict:
    commit, changes = project.commit, project.changes
    shown = ", ".join(changes[:5]) + (f" and {len(changes) - 5} more" if len(changes) > 5 else "")
    return Verdict(
        "The code is a commit, and nothing else.",
        FINAL,
        commit is not None and not changes,
        f"commit {commit[:12] if commit else 'unknown: no git repository of this project here'}"
        + (f"; not in it: {shown}" if changes else ", nothing changed since" if commit else ""),
        "git add the files named and git commit" if commit else "Run it from a git clone of the project",
    )

"""The challenge's rules: what each says, where it stands, how it is mended, and below that the test of it.

A rule marks, it forbids nothing: what breaks one is built all the same and says of itself that it must not be handed
in. Where the result can tell, no setting is trusted: raw files are read again, the model is built anew, and it
predicts again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmctr_kedro.common.params import TASKS
from mmctr_kedro.common.words import and_more
from mmctr_kedro.data.challenge import EMBEDDING_WIDTH, HISTORY_WIDTH, PATHS, TAG_WIDTH, RawFolder
from mmctr_kedro.data.clicks import Clicks, digest
from mmctr_kedro.data.jagged import positions
from mmctr_kedro.data.parquet import open_parquet, read_columns
from mmctr_kedro.data.settings import ProcessingParams
from mmctr_kedro.evaluation.metrics import auc
from mmctr_kedro.fusion.settings import EmbeddingParams
from mmctr_kedro.models import TrainedModel, model_settings, restore_model
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams, TrainingControls
from mmctr_kedro.running.project import Project

if TYPE_CHECKING:
    import pandas as pd

ROWS = 65_536  # of a raw file at a time
TOLERANCE = 1e-6  # of a pCTR or an AUC made again on the same machine; what an average of two models is far beyond

Verdict = dict[str, Any]  # JSON: rule, source, held, evidence, remedy (empty where it held)
Found = tuple[list[str], str]  # what breaks a rule; and, where nothing does, what shows that it holds


@dataclass(frozen=True)
class Finished:
    """A finished task: its settings, what came of it, what it trained on, and the raw files behind it.

    The model's settings are the ones it was trained with, whatever conf/ says now.
    """

    task: str
    processing: ProcessingParams
    embedding: EmbeddingParams
    project: Project
    model: TrainedModel
    history: list[dict[str, Any]]
    predictions: pd.DataFrame
    train: Clicks
    valid: Clicks
    test: Clicks
    item_tags: np.ndarray
    item_embedding: np.ndarray
    raw: RawFolder

    def scores(self, split: str) -> np.ndarray:
        """The predictions of a split, ``[R]`` float32."""
        return self.predictions.loc[self.predictions["split"] == split, "pctr"].to_numpy()


@dataclass(frozen=True)
class Rule:
    """A row of the table; it is entered by decorating its test.

    Attributes:
        says: What must hold, in a sentence.
        source: Where the rule stands.
        remedy: How to mend it; ``{task}`` stands for the submission type.
        tasks: The submission types it holds for.
    """

    says: str
    source: str
    remedy: str
    tasks: Sequence[str] = TASKS

    def __call__(self, test: Callable[[Finished], Found]) -> Callable[[Finished], Found]:
        RULES.append((self, test))
        return test


RULES: list[tuple[Rule, Callable[[Finished], Found]]] = []  # in the order in which they are told


def judge(
    processing: ProcessingParams, embedding: EmbeddingParams, project: Project, *made: Any, task: str
) -> list[Verdict]:
    """Every rule of a submission type as JSON: ``rule``, ``source``, ``held``, ``evidence``, ``remedy``.

    One that cannot be judged did not hold.

    Args:
        made: The fields of ``Finished`` from ``model`` on, in their order.
        task: A submission type (``params.TASKS``).
    """
    finished = Finished(task, processing, embedding, project, *made)
    verdicts = []
    for rule, test in RULES:
        if task in rule.tasks:
            try:
                wrong, shown = test(finished)
            except (ValueError, RuntimeError, KeyError) as error:  # a raw file that cannot be read, say
                wrong, shown = [f"cannot be judged: {str(error).splitlines()[0]}"], ""
            verdict = {"rule": rule.says, "source": rule.source, "held": not wrong}
            remedy = rule.remedy.format(task=task) if wrong else ""
            verdicts.append(verdict | {"evidence": "; ".join(wrong) or shown, "remedy": remedy})
    return verdicts


def broken(verdicts: Iterable[Verdict]) -> list[str]:
    """What was found where a rule did not hold."""
    return [found["evidence"] for found in verdicts if not found["held"]]


def listing(name: str, verdicts: Sequence[Verdict]) -> str:
    """Every rule with its source, whether it held, and the evidence, for a terminal of any width."""
    held = sum(entry["held"] for entry in verdicts)
    lines = [f"{name}: {held} of {len(verdicts)} rules held"]
    for entry in verdicts:
        lines.append(f"  {'held  ' if entry['held'] else 'BROKEN'}  {entry['rule']}")
        lines += [f"          {what:<9} {entry[what]}" for what in ("source", "evidence", "remedy") if entry[what]]
    return "\n".join(lines)


# --- the rules, in the order a training runs -----------------------------------------------------------------


@Rule(
    "The code is a commit, and nothing else.",
    source="organisers' page, final round: training and inference must be reproducible from the submitted code",
    remedy="In a git clone of the project: git add and git commit what is code; secrets and the rest into .gitignore",
)
def committed(found: Finished) -> Found:
    commit, changes = found.project.commit, found.project.changes
    if commit is None:
        return ["commit unknown: no git repository of this project here"], ""
    wrong = [f"commit {commit[:12]}, and not in it: {and_more(changes, 5)}"] if changes else []
    return wrong, f"commit {commit[:12]}, nothing changed since"


@Rule(
    "The CTR model is the fixed DIN, run as the organisers run it; only its five values are tuned.",
    source="organisers' page, Task 1: a fixed CTR model, five values may be tuned",
    remedy="Set the organisers' values: --params "
    f"task1.ctr.epochs=100,task1.ctr.patience=3,task1.ctr.precision=fp32,processing.max_history={HISTORY_WIDTH}",
    tasks=["task1"],
)
def fixed_model(found: Finished) -> Found:
    name = found.model.settings["ctr"]["model"]["name"]
    wrong = [] if found.model.settings["fixed"] else ["it is not the fixed model"]
    if name != "din":
        wrong.append(f"it is {name}, not din")
    if wrong:
        return wrong, ""
    ours, official = dict(model_settings(found.model)), dict(FixedCtrParams())
    wrong = [
        f"{name} is {ours[name]}, not {official[name]}"
        for name in ("epochs", "patience", "precision")
        if ours[name] != official[name]
    ]
    if found.processing.max_history != HISTORY_WIDTH:
        wrong.append(f"histories end at {found.processing.max_history} clicks, not {HISTORY_WIDTH}")
    tunable = [name for name in official if name not in TrainingControls.model_fields]
    tuned = ", ".join(f"{name} {ours[name]:g}" for name in tunable)
    return wrong, f"fixed DIN with {tuned}; 100 epochs at most, patience 3, fp32, histories of 64"


@Rule(
    "The model learnt from the rows of train alone and was selected on the rows of valid alone.",
    source="organisers' page: trained end to end on the given features and split",
    remedy="Train again: kedro run --pipeline {task}",
)
def given_rows(found: Finished) -> Found:
    now = {
        "clicks_train": found.train.digest(),
        "clicks_valid": found.valid.digest(),
        "item_tags": digest(item_tags=found.item_tags),
        "item_embedding": digest(item_embedding=found.item_embedding),
    }
    then = found.model.settings.get("trained_on", {})
    wrong = [f"the model was trained on another {name} than this" for name in now if now[name] != then.get(name)]
    splits = {"train": found.train, "valid": found.valid, "test": found.test}
    wrong += [problem for name, clicks in splits.items() for problem in _unlike_raw(name, clicks, found.raw)]
    if found.test.label is not None:
        wrong.append("clicks_test has labels")
    return wrong, (
        f"its {len(found.train):,} train and {len(found.valid):,} valid rows are those of the raw files: SHA-256 of "
        "all that it was trained on, and item, user, levels, label and history of each row"
    )


@Rule(
    "The input features are the given ones: user history, item id, tags, embedding, likes and views of the target.",
    source="organisers' page: the input features may not change, no additional features (likes and views of history "
    "items are one)",
    remedy="Set processing.history_levels to false and train again: kedro run --pipeline {task}",
)
def given_features(found: Finished) -> Found:
    """Tags are the item's own, five wide: a feature hidden in them would show."""
    if found.item_tags.shape[1] != TAG_WIDTH:
        return [f"item_tags has {found.item_tags.shape[1]} columns, not {TAG_WIDTH}"], ""
    published = _published(found.raw, "item_tags")
    wrong, shown = [], f"item_tags are the {TAG_WIDTH} of {PATHS['item_info']}; Clicks has no further column"
    if found.item_tags.shape != published.shape:
        wrong.append(f"item_tags has {len(found.item_tags)} rows, {PATHS['item_info']} {len(published)}")
    elif len(items := np.flatnonzero((np.sort(found.item_tags) != np.sort(published)).any(axis=1))):
        wrong.append(f"item_tags differs from {PATHS['item_info']} for {len(items)} items, first {items[0]}")
    return wrong, shown


@Rule(
    "The item embedding is the provided one.",
    source="organisers' page, Task 2: the provided embedding",
    remedy="Rebuild it: kedro run --pipeline data_processing. Then train again: kedro run --pipeline {task}",
    tasks=["task2"],
)
def provided_embedding(found: Finished) -> Found:
    published = _published(found.raw, "item_emb_d128").astype(np.float32)
    ours, theirs = digest(embedding=np.asarray(found.item_embedding)), digest(embedding=published)
    wrong = [] if ours == theirs else [f"its SHA-256 is {ours[:16]}, that of {PATHS['item_info']} {theirs[:16]}"]
    rows, width = published.shape
    return wrong, f"SHA-256 {ours[:16]} of {rows:,} x {width} float32, as in item_info.parquet"


@Rule(
    "The embedding has 128 numbers per item, learns from the clicks of train alone, and shares no weight and no "
    "gradient with the CTR model.",
    source="organisers' page, Task 1: a 128-d vector per item; Task 1 & 2: two separate models, trained separately",
    remedy=f"--params embedding.width={EMBEDDING_WIDTH},embedding.histories=train, and run {{task}} again",
    tasks=["task1", "task1_and_2"],
)
def separate_embedding(found: Finished) -> Found:
    """That training left it as it was is told by ``given_rows``."""
    wrong = []
    if (width := found.item_embedding.shape[1]) != EMBEDDING_WIDTH:
        wrong.append(f"the embedding is {width} wide, not {EMBEDDING_WIDTH}")
    if found.embedding.histories != "train":  # item_seq.parquet has those of valid and test users too
        wrong.append(f"embedding.histories is {found.embedding.histories}")
    wrong += [
        f"weight {name} is the embedding itself"
        for name, weight in found.model.weights.items()
        if weight.shape == found.item_embedding.shape and np.array_equal(weight, found.item_embedding)
    ]
    return wrong, (
        f"{EMBEDDING_WIDTH} wide, of train's histories; a frozen table of the CTR model, whose "
        f"{len(found.model.weights)} weight arrays do not hold it"
    )


@Rule(
    "One neural network predicts, trained end to end: no ensemble, no tree, no pretrained model in it.",
    source="organisers' page: one neural network, no ensembles, for training or testing; Task 2: structure and "
    "hyperparameters may change",
    remedy="Train again: kedro run --pipeline {task}",
)
def one_network(found: Finished) -> Found:
    """The weights are exactly those of the one named model, built from its own layers."""
    name, weights = found.model.settings["ctr"]["model"]["name"], found.model.weights
    try:
        network = restore_model(found.model, found.item_tags, found.item_embedding)
    except (ValueError, RuntimeError, KeyError) as error:  # torch says RuntimeError where a weight does not fit
        return [f"its weights do not fit {name}: {str(error).splitlines()[0]}"], ""
    homes = {type(part).__module__.split(".")[0] for part in network.modules()} - {"torch", "mmctr_kedro"}
    wrong = [f"it has a part from {home}" for home in sorted(homes)]
    wrong += [f"{which} is frozen" for which, weight in network.named_parameters() if not weight.requires_grad]
    wrong += [f"weight {which} is not finite" for which, weight in weights.items() if not np.isfinite(weight).all()]
    parameters = sum(weight.numel() for weight in network.parameters())
    return wrong, f"{name}: {parameters:,} parameters, all trainable, of layers from torch.nn and models/"


@Rule(
    "Epoch and weights were selected by valid AUC, and by nothing else.",
    source="organisers' page: trained end to end on the given features and split",
    remedy="Train again: kedro run --pipeline {task}",
)
def best_of_valid(found: Finished) -> Found:
    """The predictions' AUC is that of the best evaluation; that they are the model's own is told by ``own_scores``."""
    from mmctr_kedro.training.loop import best_evaluation

    best, scores = best_evaluation(found.history), found.scores("valid")
    if len(scores) != len(found.valid):
        return [f"there are {len(scores):,} predictions for {len(found.valid):,} valid rows"], ""
    now = auc(np.asarray(found.valid.label), scores)
    kept = f"best of {len(found.history)} evaluations: epoch {best['epoch']}, valid AUC {best['valid_auc']:.6f}"
    wrong = [] if abs(now - best["valid_auc"]) <= TOLERANCE else [f"{kept}, but that of the predictions is {now:.6f}"]
    return wrong, f"{kept}, which the predictions have too"


@Rule(
    "The predictions are this one model's: no averaging of models or runs, no change after it.",
    source="organisers' page: one neural network, no ensembles, for training or testing",
    remedy="Predict again: kedro run --pipeline {task}",
)
def own_scores(found: Finished) -> Found:
    """This one model, asked again, says the same."""
    from mmctr_kedro.common.machine import reproducible
    from mmctr_kedro.training.loop import predict

    params, splits = CtrParams(**found.model.settings["ctr"]), {"valid": found.valid, "test": found.test}
    if wrong := [
        f"{rows:,} predictions for {len(clicks):,} {split} rows"
        for split, clicks in splits.items()
        if (rows := len(found.scores(split))) != len(clicks)
    ]:
        return wrong, ""
    with reproducible(params) as device:
        network = restore_model(found.model, found.item_tags, found.item_embedding).to(device)
        again = {split: predict(network, clicks, params) for split, clicks in splits.items()}
    gaps = np.concatenate([np.abs(scores - found.scores(split)) for split, scores in again.items()])
    largest = gaps.max(initial=0)  # NaN where one is
    wrong = [] if largest <= TOLERANCE else [f"of {len(gaps):,} rows predicted again one differs by {largest:.3g}"]
    return wrong, f"{len(gaps):,} valid and test rows predicted again differ by at most {largest:.1g}"


# --- what the raw files say ------------------------------------------------------------------------------------


def _unlike_raw(name: str, clicks: Clicks, raw: RawFolder) -> list[str]:
    """Where a split's rows differ from its raw file's, told by target item, user, levels, history and label or ID."""
    import pyarrow.compute as pc

    last = "ID" if name == "test" else "label"
    ours = {
        "user_id": clicks.user,
        "item_id": clicks.item,
        "likes_level": clicks.likes_level,
        "views_level": clicks.views_level,
        last: clicks.row_id if name == "test" else clicks.label,
    }
    table = read_columns(raw.file(name), list(ours))
    if table.num_rows != len(clicks):
        return [f"{PATHS[name]} has {table.num_rows:,} rows, clicks_{name} {len(clicks):,}"]
    wrong = [
        f"clicks_{name} has another {column} than {PATHS[name]}"
        for column, values in ours.items()
        if values is None or not np.array_equal(table[column].to_numpy(), values)
    ]
    # Every history is the end of its row's item_seq: nothing else can have been put into it.
    foreign, start = f"clicks_{name} has histories that are not the newest clicks of {PATHS[name]}", 0
    for batch in open_parquet(raw.file(name)).iter_batches(ROWS, columns=["item_seq"]):
        lists, rows = batch.column(0), slice(start, start + batch.num_rows)
        length, whole = clicks.history_length[rows], pc.list_value_length(lists).to_numpy(zero_copy_only=False)
        if (length > whole).any():
            return [*wrong, foreign]
        mine = positions(clicks.history_offsets[clicks.history[rows]], length)
        theirs = positions(np.cumsum(whole) - length, length)
        newest = lists.flatten().to_numpy(zero_copy_only=False)[theirs]
        if not np.array_equal(newest, clicks.history_items[mine]):
            return [*wrong, foreign]
        start += batch.num_rows
    return wrong


def _published(raw: RawFolder, column: str) -> np.ndarray:
    """A list column of item_info.parquet in item-id order: ``[N + 1, width]``."""
    table = read_columns(raw.file("item_info"), ["item_id", column])
    order = np.argsort(table["item_id"].to_numpy(), kind="stable")
    values = table[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(order), -1)[order]

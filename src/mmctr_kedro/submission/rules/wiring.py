"""Rules that the graph can break: what each node may read, and what may lie between data and submission."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from mmctr_kedro.common.params import TASKS
from mmctr_kedro.submission.rules.settings import FEATURES, SPLIT
from mmctr_kedro.submission.rules.verdict import Verdict

ONE_MODEL = "organisers' page: one neural network, no ensembles, for training or testing"
CASCADE = "organisers' page, Task 1 & 2: two separate models, trained separately"
GIVEN = "organisers' page, Task 2: the provided embedding"

_RESTORE = "Restore pipelines/ and pipeline_registry.py, or give the other wiring a pipeline of its own"
_NODES = "mmctr_kedro.pipelines."
TRAIN = {
    "task1": f"{_NODES}ctr.nodes.train_fixed_model",
    "task2": f"{_NODES}ctr.nodes.train_model",
    "task1_and_2": f"{_NODES}ctr.nodes.train_model",
}
PREDICT = f"{_NODES}ctr.nodes.predict"
PROCESS = f"{_NODES}data_processing.nodes.process_raw_files"
PREPARE = f"{_NODES}data_processing.nodes.prepare_raw_files"
SUBMIT = f"{_NODES}submission.nodes.make_submission"
COMBINE = f"{_NODES}submission.nodes.combine_submissions"
EMBED = {f"{_NODES}embedding.nodes.{name}" for name in ("encode_titles", "encode_covers", "fuse")}
# Told apart from ctr/pipeline.py on purpose: a rule that reads what it judges holds always.
EMBEDDING = {
    "task1": "item_embedding",
    "task2": "provided_item_embedding",
    "task1_and_2": "item_embedding",
}  # what each task is judged on


class NodeFacts(NamedTuple):
    """A node of a graph."""

    name: str
    function: str  # module and name
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def judge_wiring(task: str, graph: Sequence[NodeFacts]) -> Iterator[Verdict]:
    """What the graph of a submission type may and may not be; what a run takes as given counts as well wired."""
    made = {output: node for node in graph for output in node.outputs}
    tables = {"item_tags", EMBEDDING[task]}
    yield _reads(
        "Training reads the given features, the train rows and, to select by, the valid rows; no test row, no truth.",
        SPLIT,
        made.get(f"{task}.ctr_model"),
        TRAIN[task],
        {f"params:{task}.ctr", "clicks_train", "clicks_valid", f"{task}.checkpoint", *tables},
    )
    yield _reads(
        "One model predicts, from the given features alone.",
        ONE_MODEL,
        made.get(f"{task}.predictions"),
        PREDICT,
        {f"{task}.ctr_model", "clicks_valid", "clicks_test", *tables},
    )
    yield _reads(
        "The submission is that model's predictions: nothing is averaged in or changed on the way.",
        ONE_MODEL,
        made.get(f"{task}.submission"),
        SUBMIT,
        {f"{task}.predictions", "clicks_test", f"{task}.rules", "params:submission"},
    )
    if "submission" in made:
        yield _reads(
            "The combined submission has each type's own column, and none is made of several.",
            ONE_MODEL,
            made["submission"],
            COMBINE,
            {
                *(f"{of}.{name}" for of in TASKS for name in ("predictions", "rules")),
                "clicks_test",
                "params:submission",
            },
        )
    yield _sources(task, made, tables)
    if task != "task2":
        yield _embedding(made)


def _reads(rule: str, source: str, node: NodeFacts | None, function: str, allowed: set[str]) -> Verdict:
    if node is None:
        return Verdict(rule, source, True, "not made in this run")
    added, lost = sorted(set(node.inputs) - allowed), sorted(allowed - set(node.inputs))
    wrong = []
    if node.function != function:
        wrong.append(f"made by {node.function}, not {function}")
    if added:
        wrong.append(f"reads {', '.join(added)} too")
    if lost:
        wrong.append(f"does not read {', '.join(lost)}")
    return Verdict(
        rule,
        source,
        not wrong,
        f"node {node.name} {'; '.join(wrong)}" if wrong else f"node {node.name} reads {', '.join(node.inputs)}",
        _RESTORE,
    )


def _sources(task: str, made: dict[str, NodeFacts], tables: set[str]) -> Verdict:
    contracts = {"clicks_train", "clicks_valid", "clicks_test", "item_tags", "provided_item_embedding"}
    wrong = [
        f"{name} comes from {made[name].function}"
        for name in sorted(contracts & ({"clicks_train", "clicks_valid", "clicks_test"} | tables))
        if name in made and made[name].function != PROCESS
    ]
    if "raw_files" in made and made["raw_files"].function != PREPARE:
        wrong.append(f"raw_files comes from {made['raw_files'].function}")
    return Verdict(
        "Features and splits are the published files', checked and reshaped, nothing more.",
        FEATURES,
        not wrong,
        "; ".join(wrong) or "clicks, tags and the provided embedding come from process_raw_files alone",
        _RESTORE,
    )


def _embedding(made: dict[str, NodeFacts]) -> Verdict:
    upstream = list(_upstream("item_embedding", made))
    wrong = [f"{node.name} ({node.function})" for node in upstream if node.function not in {*EMBED, PROCESS, PREPARE}]
    learnt = {name for node in upstream if node.function in EMBED for name in node.inputs if name.startswith("clicks_")}
    wrong += [f"{name} is read" for name in sorted(learnt - {"clicks_train"})]
    return Verdict(
        "The embedding is made before and apart from the CTR model: no gradient, no weight, no prediction of one "
        "reaches the other, and no row of valid or test.",
        CASCADE,
        not wrong,
        f"upstream of item_embedding: {', '.join(wrong)}"
        if wrong
        else "upstream of item_embedding: " + (", ".join(node.name for node in upstream) or "not made in this run"),
        _RESTORE,
    )


def _upstream(name: str, made: dict[str, NodeFacts]) -> Iterable[NodeFacts]:
    waiting, seen = [name], set()
    while waiting:
        node = made.get(waiting.pop())
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            waiting += node.inputs

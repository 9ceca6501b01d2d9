"""A graph that reads, averages or learns what it must not is found; the project's own is not."""

import pytest
from kedro.framework.project import configure_project, pipelines
from kedro.pipeline import Pipeline, node

from mmctr_kedro.common.params import TASKS
from mmctr_kedro.datasets.wiring import WiringDataset, wiring_of
from mmctr_kedro.submission.rules.wiring import NodeFacts, judge_wiring


@pytest.fixture(scope="module", autouse=True)
def _project():
    configure_project("mmctr_kedro")


@pytest.fixture
def graph():
    return lambda task: list(WiringDataset(pipeline=task).load())


def broken(task: str, graph: list[NodeFacts]) -> list[str]:
    return [verdict.evidence for verdict in judge_wiring(task, graph) if not verdict.held]


def rewired(graph: list[NodeFacts], name: str, **changes) -> list[NodeFacts]:
    return [entry._replace(**changes) if entry.name == name else entry for entry in graph]


def inputs(graph: list[NodeFacts], name: str) -> tuple[str, ...]:
    return next(entry.inputs for entry in graph if entry.name == name)


@pytest.mark.parametrize("task", TASKS)
def test_the_registered_graphs_break_no_rule(task, graph):
    assert broken(task, graph(task)) == []
    assert broken(task, wiring_of(pipelines["__default__"])) == []


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("extra", ["clicks_test", "truth", "item_content", "task1.predictions"])
def test_training_that_reads_more_than_it_may_is_found(task, extra, graph):
    reads = (*inputs(graph(task), f"{task}.train"), extra)
    (found,) = broken(task, rewired(graph(task), f"{task}.train", inputs=reads))
    assert f"reads {extra} too" in found


def test_training_on_the_wrong_embedding_is_found(graph):
    reads = tuple(
        name.replace("provided_item_embedding", "item_embedding") for name in inputs(graph("task2"), "task2.train")
    )
    (found,) = broken("task2", rewired(graph("task2"), "task2.train", inputs=reads))
    assert "reads item_embedding too; does not read provided_item_embedding" in found


def test_another_training_function_is_found_in_task_1(graph):
    (found,) = broken(
        "task1", rewired(graph("task1"), "task1.train", function="mmctr_kedro.pipelines.ctr.nodes.train_model")
    )
    assert "not mmctr_kedro.pipelines.ctr.nodes.train_fixed_model" in found


def test_a_node_that_averages_predictions_on_the_way_is_found(graph):
    averaged = rewired(graph("task2"), "task2.predict", outputs=("task2.single",))
    averaged.append(
        NodeFacts("task2.average", "mine.average", ("task2.single", "task1.predictions"), ("task2.predictions",))
    )
    (found,) = broken("task2", averaged)
    assert "made by mine.average" in found
    assert "reads task1.predictions, task2.single too" in found


def test_a_submission_made_of_several_predictions_is_found(graph):
    reads = (*inputs(graph("task2"), "task2.make_submission"), "task1_and_2.predictions")
    assert broken("task2", rewired(graph("task2"), "task2.make_submission", inputs=reads))


def test_a_combined_submission_that_averages_is_found():
    of = wiring_of(pipelines["__default__"])
    (found,) = broken("task2", rewired(of, "combine_submissions", function="mine.mean_of_all"))
    assert "made by mine.mean_of_all" in found


@pytest.mark.parametrize("extra", ["task1_and_2.ctr_model", "task2.predictions", "clicks_valid", "clicks_test"])
def test_an_embedding_that_learns_from_a_ctr_model_or_from_valid_rows_is_found(extra, graph):
    of = wiring_of(pipelines["__default__"])
    wired = rewired(of, "embedding.fuse", inputs=(*inputs(of, "embedding.fuse"), extra))
    assert any("upstream of item_embedding" in found for found in broken("task1_and_2", wired))
    assert broken("task2", wired) == []  # whose embedding is another


def test_clicks_from_another_node_are_found(graph):
    wired = rewired(graph("task2"), "data_processing.process_raw_files", function="mine.with_more_features")
    (found,) = broken("task2", wired)
    assert "clicks_train comes from mine.with_more_features" in found


def test_the_name_of_a_function_is_seen_through_partials():
    from functools import partial

    facts = wiring_of(Pipeline([node(partial(broken, "task1"), "a", "b", name="n")]))
    assert facts == [NodeFacts("n", f"{broken.__module__}.broken", ("a",), ("b",))]

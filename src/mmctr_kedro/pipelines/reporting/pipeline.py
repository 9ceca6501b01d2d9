"""Reporting: metrics, figures and a page per task, and one page for all three from their bundles."""

from kedro.pipeline import Pipeline, node

from mmctr_kedro.common.params import TASKS
from mmctr_kedro.pipelines import bound
from mmctr_kedro.pipelines.ctr.pipeline import EMBEDDINGS
from mmctr_kedro.pipelines.reporting.nodes import evaluate, evaluate_on_our_embedding, show_example_rows
from mmctr_kedro.reports.figures import NAMES, draw_figures
from mmctr_kedro.reports.report import write_report, write_task_report
from mmctr_kedro.submission.bundle import Results


def create_task_pipeline(task: str) -> Pipeline:
    """Predictions to metrics, figures and a page, in the namespace of the task."""
    clicks = ["clicks_train", "clicks_valid", "clicks_test"]
    items = ["item_tags", EMBEDDINGS[task]]
    ours = EMBEDDINGS[task] == "item_embedding"
    judge = bound(evaluate_on_our_embedding if ours else evaluate, task=task)
    settings = ["params:embedding"] if ours else []
    leak_free = ["leak_free_model", "leak_free_predictions"]
    shared = ["data_report", "data_diagnostics", "covers"]
    figures = [f"{name}_figure" for name in NAMES]
    nodes = [
        node(
            judge,
            [
                *settings,
                "ctr_model",
                "predictions",
                *leak_free,
                "training_history",
                *clicks,
                "truth",
                "rules",
                items[1],
            ],
            "metrics",
            name="evaluate",
        ),
        node(
            show_example_rows,
            ["ctr_model", "predictions", "clicks_valid", "item_content", *items],
            "example_rows",
            name="show_example_rows",
        ),
        node(draw_figures, ["metrics", "training_history"], figures, name="draw_figures"),
        node(
            write_task_report,
            [*shared, "example_rows", *Results._fields, *figures],
            "report",
            name="write_report",
        ),
    ]
    given = {*clicks, *items, "truth", "item_content", *shared}
    return Pipeline(nodes, namespace=task, inputs=given, parameters=set(settings), tags="reporting")


def create_pipeline() -> Pipeline:
    """The bundles of all three tasks to one page."""
    inputs = ["data_report", "data_diagnostics", *(f"{task}.bundle" for task in TASKS)]
    return Pipeline(
        [node(write_report, inputs, "report", name="write_report", tags="reporting")],
        namespace="all_tasks",
        prefix_datasets_with_namespace=False,
    )

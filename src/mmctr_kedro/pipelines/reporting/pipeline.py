"""Reporting: metrics, figures and a page per task, and one page for all three from their bundles."""

from kedro.pipeline import Pipeline, node

from mmctr_kedro.common.params import TASKS
from mmctr_kedro.pipelines import bound
from mmctr_kedro.pipelines.reporting.nodes import evaluate, show_worst_rows
from mmctr_kedro.reports.figures import NAMES, draw_figures
from mmctr_kedro.reports.report import write_report, write_task_report


def create_task_pipeline(task: str) -> Pipeline:
    """Predictions to metrics, figures and a page, in the namespace of the task."""
    clicks = ["clicks_train", "clicks_valid", "clicks_test"]
    judge = bound(evaluate, task=task)
    leak_free = ["leak_free_model", "leak_free_predictions"]
    shared = ["data_report", "data_diagnostics"]
    figures = [f"{name}_figure" for name in NAMES]
    nodes = [
        node(
            judge,
            ["ctr_model", "predictions", *leak_free, "training_history", *clicks, "truth", "rules"],
            "metrics",
            name="evaluate",
        ),
        node(show_worst_rows, ["predictions", "clicks_valid", "item_content"], "worst_rows", name="show_worst_rows"),
        node(draw_figures, ["metrics", "training_history"], figures, name="draw_figures"),
        node(
            write_task_report,
            ["ctr_model", "metrics", "training_history", *shared, "worst_rows", "rules", *figures],
            "report",
            name="write_report",
        ),
    ]
    return Pipeline(nodes, namespace=task, inputs={*clicks, "truth", "item_content", *shared}, tags="reporting")


def create_pipeline() -> Pipeline:
    """The bundles of all three tasks to one page."""
    inputs = ["data_report", "data_diagnostics", *(f"{task}.bundle" for task in TASKS)]
    return Pipeline(
        [node(write_report, inputs, "report", name="write_report", tags="reporting")],
        namespace="all_tasks",
        prefix_datasets_with_namespace=False,
    )

"""Runs in MLflow, for who asks for it: kedro-mlflow's hooks, told what they cannot know of a run of ours."""

from __future__ import annotations

from typing import Any

import mlflow
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook

from mmctr_kedro.common.params import leaves
from mmctr_kedro.pipelines.settings import resolved

LONGEST, BATCH = 6000, 100  # letters of a parameter, and parameters at once, that MLflow takes
ARTIFACTS = ("report", "ctr_model", "leak_free_model")


class MlflowHooks(MlflowHook):
    """The plugin's hooks with our parameters, metrics and artifacts; one MLflow run for each run of Kedro."""

    before_node_run = None  # the plugin's logs a typed block as one text and a store as an address in memory

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Begin the MLflow run, and log every setting that a node reads by its dotted name, defaults too."""
        super().before_pipeline_run(run_params, pipeline, catalog)
        self._catalog, read = catalog, pipeline.inputs()
        blocks = {name: of for name, of in resolved(catalog.load("parameters")).items() if f"params:{name}" in read}
        values = [(name, str(value)[:LONGEST]) for name, value in leaves(blocks)]
        for first in range(0, len(values), BATCH):
            mlflow.log_params(dict(values[first : first + BATCH]))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log what a task has made: metrics of each epoch and of the whole, the page, the models."""
        task, _, name = dataset_name.rpartition(".")
        if name == "training_history":
            for entry in data:
                values = {f"{task}.{key}": value for key, value in entry.items() if key not in ("epoch", "step")}
                mlflow.log_metrics(values, step=entry["epoch"])
        elif name == "metrics":
            found = ((key, value) for key, value in leaves(data) if isinstance(value, int | float))
            mlflow.log_metrics({f"{task}.final.{key}": float(value) for key, value in found})
        elif task and name in ARTIFACTS:
            mlflow.log_artifact(str(self._catalog[dataset_name]._filepath), task)

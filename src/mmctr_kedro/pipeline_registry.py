"""The registered pipelines: each stage alone, one composition per submission type, and the main job."""

from kedro.pipeline import Pipeline

from mmctr_kedro.common.params import TASKS
from mmctr_kedro.pipelines import (
    check_submission,
    ctr,
    data_diagnostics,
    data_processing,
    embedding,
    export,
    finetune,
    import_log,
    reporting,
    rules,
    score,
    simulate,
    submission,
    tune,
    verify,
)


def register_pipelines() -> dict[str, Pipeline]:
    """Every pipeline by name.

    ``task1``, ``task2`` and ``task1_and_2`` hold all that a submission of that type needs and nothing else, so
    ``task2`` runs no encoder. ``__default__`` is the main job: all three, one report, one combined submission.
    """
    data = data_processing.create_pipeline()
    item_embedding = data + embedding.create_pipeline()
    tasks = {
        task: (data if task == "task2" else item_embedding)
        + data_diagnostics.create_pipeline()
        + ctr.create_pipeline(task)
        + rules.create_pipeline(task)
        + reporting.create_task_pipeline(task)
        + submission.create_task_pipeline(task)
        for task in TASKS
    }
    return {
        "__default__": sum(tasks.values(), reporting.create_pipeline() + submission.create_pipeline()),
        "simulate": simulate.create_pipeline(),
        "import_log": import_log.create_pipeline(),
        "data_processing": data,
        "data_diagnostics": data_diagnostics.create_pipeline(),
        "embedding": item_embedding,
        "embedding_variants": data + embedding.create_variants_pipeline(),
        "finetune": data + finetune.create_pipeline(),
        **tasks,
        "ctr": sum((ctr.create_pipeline(task) for task in TASKS), Pipeline([])),
        "rules": sum((rules.create_pipeline(task) for task in TASKS), Pipeline([])),
        "reporting": sum((reporting.create_task_pipeline(task) for task in TASKS), reporting.create_pipeline()),
        # What is submitted is judged as it is now, whatever was judged before.
        "submission": sum(
            (rules.create_pipeline(task) + submission.create_task_pipeline(task) for task in TASKS),
            submission.create_pipeline(),
        ),
        "score": sum((score.create_pipeline(task) for task in TASKS), Pipeline([])),
        "export": sum((export.create_pipeline(task) for task in TASKS), Pipeline([])),
        "tune": sum((tune.create_pipeline(task) for task in TASKS), Pipeline([])),
        "verify": verify.create_pipeline(),
        "check_submission": check_submission.create_pipeline(),
    }

"""Do again what a bundle says was done, and say what differs."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import VerifyParams
from mmctr_kedro.data.challenge import SUBMISSION_COLUMNS, RawFolder
from mmctr_kedro.data.parquet import read_columns
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.models.model_file import model_bytes, read_model
from mmctr_kedro.pipelines.verify.rebuild import Data, Settings, rebuild_data, rebuild_embedding, settings_of, train
from mmctr_kedro.running.project import Project
from mmctr_kedro.submission import differences
from mmctr_kedro.submission.bundling import FORMAT, Bundle
from mmctr_kedro.submission.checks import check_predictions
from mmctr_kedro.submission.zip_file import read_submission

logger = logging.getLogger(__name__)

Finding = dict[str, Any]  # check, passed, says


def verify(
    params: VerifyParams,
    bundle: Bundle,
    project: Project,
    verify_folder: RawFolder,
    challenge_folder: RawFolder,
    log_folder: RawFolder,
) -> dict[str, Any]:
    """Rebuild the data, predict again (quick) or make everything again (full), and compare.

    Args:
        bundle: Its members are already known to be what its manifest says.
        verify_folder: Where data and vectors are rebuilt, from nothing; emptied first.
        challenge_folder: Read where the bundle's source is ``challenge_files``.
        log_folder: Read where it is ``interaction_log``.

    Returns:
        ``passed``; ``findings``: ``check``, ``passed``, ``says``; ``differences``: what surrounds the run and differs
        from the bundle's: versions, lock, machine, code, settings. A difference alone fails nothing.
    """
    manifest = bundle.manifest
    if manifest.get("format") != FORMAT:
        raise MmctrError(
            f"The bundle has format {manifest.get('format')!r}; this version of the project reads {FORMAT}."
        )
    settings = settings_of(manifest)
    differing = differences.of_surroundings(bundle, project)
    exact = not {"machine", "versions", "lock", "code", "settings"} & set(differing)
    logger.info("rebuilding the data of %s", ", ".join(manifest["tasks"]))
    data = rebuild_data(settings, verify_folder, challenge_folder, log_folder)
    findings = [_data(manifest["raw_files"], data.raw_files), _format(bundle, data.test.row_id)]
    embedding = None
    if params.mode == "full" and "item_embedding.npy" in bundle.files:
        logger.info("making the item embedding again")
        embedding = rebuild_embedding(settings, data, verify_folder)
        findings.append(_embedding(_array(bundle), embedding, exact))
    for task in manifest["tasks"]:
        given = data.provided if task == "task2" else _array(bundle)
        findings += _predicted_again(task, bundle, data, given, params, exact)
        if params.mode == "full":
            logger.info("training %s again", task)
            made = data.provided if task == "task2" else embedding
            assert made is not None
            findings.append(_trained_again(task, bundle, data, made, settings, params, exact))
    return {
        "mode": params.mode,
        "tasks": manifest["tasks"],
        "commit": manifest["commit"],
        "passed": all(finding["passed"] for finding in findings),
        "findings": findings,
        "differences": differing,
    }


def conclude(verification: dict[str, Any]) -> None:
    """Print what was found; raise where the bundle does not hold, once that is on disk."""
    lines = [
        f"  {'ok  ' if found['passed'] else 'FAIL'}  {found['check']}: {found['says']}"
        for found in verification["findings"]
    ]
    lines += [f"  differs: {name}: {says}" for name, says in verification["differences"].items()]
    said = "\n".join(lines)
    if not verification["passed"]:
        raise MmctrError(
            f"The bundle does not hold ({verification['mode']}):\n{said}\nLook at what differs first; then make the "
            "submission again from the bundle's commit, data and lock (REPRODUCE.md in it)."
        )
    print(f"\nThe bundle holds ({verification['mode']}):\n{said}\n", flush=True)


def _finding(check: str, passed: bool, says: str) -> Finding:
    return {"check": check, "passed": bool(passed), "says": says}


def _format(bundle: Bundle, test_ids: np.ndarray) -> Finding:
    """The submission is one the challenge takes, and says what the bundle's predictions say."""
    try:
        submission = read_submission(io.BytesIO(bundle.files["submission.zip"]))
        tables = {task: _predictions(bundle, task) for task in bundle.manifest["tasks"]}
        for task, predictions in tables.items():
            test, name = predictions[predictions["split"] == "test"], SUBMISSION_COLUMNS[task]
            column = submission.table[["ID", name]]
            check_predictions(column, test_ids, file="submission.zip", remedy="")
            if not np.array_equal(column[name].to_numpy(), test["pctr"].to_numpy()):
                return _finding("submission", False, f"column {name} is not what {task}/predictions.parquet holds")
    except (MmctrError, KeyError, ValueError) as error:
        return _finding("submission", False, f"{type(error).__name__}: {error}")
    marks = bundle.manifest["not_submittable"]
    if list(submission.not_submittable) != marks:
        return _finding("submission", False, "the zip and the manifest do not agree on whether it may be sent in")
    said = f"{len(submission.table):,} rows, valid"
    return _finding("submission", True, said + ("; marked not submittable" if marks else ""))


def _data(theirs: dict[str, Any], ours: dict[str, Any]) -> Finding:
    """Raw files by SHA-256."""
    names = {*theirs["files"], *ours["files"]}
    wrong = [
        f"{name} has SHA-256 {_sha(ours, name)}, the bundle's run had {_sha(theirs, name)}"
        for name in sorted(names)
        if _sha(ours, name) != _sha(theirs, name)
    ]
    return _finding("raw data", not wrong, "; ".join(wrong) or f"{len(names)} raw files with the same SHA-256")


def _sha(raw_files: dict[str, Any], name: str) -> str:
    return raw_files["files"].get(name, {}).get("sha256", "none")[:16]


def _embedding(theirs: np.ndarray, ours: np.ndarray, exact: bool) -> Finding:
    if theirs.shape != ours.shape:
        return _finding("item embedding", False, f"has shape {ours.shape}, the bundle's {theirs.shape}")
    equal, gap = np.array_equal(theirs, ours), float(np.abs(theirs - ours).max(initial=0))
    return _finding(
        "item embedding", equal or not exact, "equal, byte for byte" if equal else f"differs by at most {gap:.3g}"
    )


def _predicted_again(
    task: str, bundle: Bundle, data: Data, embedding: np.ndarray, params: VerifyParams, exact: bool
) -> list[Finding]:
    from mmctr_kedro.evaluation.metrics import auc
    from mmctr_kedro.pipelines.ctr.nodes import predict

    model, check = _model(bundle, task), f"{task} inference"
    theirs = _predictions(bundle, task)
    try:
        ours = predict(model, data.valid, data.test, data.item_tags, embedding)
    except MmctrError as error:
        return [_finding(check, False, str(error))]
    if not ours[["split", "row_id"]].equals(theirs[["split", "row_id"]]):
        return [_finding(check, False, "the rows to predict are not those of the bundle's predictions")]
    gap = float(np.abs(ours["pctr"] - theirs["pctr"]).max())
    limit = 0.0 if exact else params.prediction_tolerance
    said = f"{len(ours):,} valid and test rows predicted again, " + (
        "all equal" if gap == 0 else f"largest difference {gap:.3g} (allowed here: {limit:g})"
    )
    score = auc(np.asarray(data.valid.label), ours.loc[ours["split"] == "valid", "pctr"].to_numpy())
    recorded = bundle.manifest["metrics"][task]["auc"]
    metric = _finding(
        f"{task} valid AUC", abs(score - recorded) <= max(limit, 1e-9), f"{score:.6f}, the bundle says {recorded:.6f}"
    )
    return [_finding(check, gap <= limit, said), metric]


def _trained_again(
    task: str,
    bundle: Bundle,
    data: Data,
    embedding: np.ndarray,
    settings: Settings,
    params: VerifyParams,
    exact: bool,
) -> Finding:
    from mmctr_kedro.training.loop import best_evaluation

    theirs, (ours, history) = _model(bundle, task), train(task, settings, data, embedding)
    recorded = bundle.manifest["metrics"][task]["auc"]
    gap = best_evaluation(history)["valid_auc"] - recorded
    equal = _weights_are_equal(theirs, ours)
    limit = 0.0 if exact else params.auc_tolerance
    said = (
        f"valid AUC {recorded + gap:.6f}, the bundle's {recorded:.6f}, difference {gap:+.6f} "
        f"(allowed here: {limit:g}); "
        f"weights {'equal, byte for byte' if equal else 'differ'}"
    )
    return _finding(f"{task} training", (equal or not exact) and abs(gap) <= max(limit, 1e-9), said)


def _weights_are_equal(theirs: TrainedModel, ours: TrainedModel) -> bool:
    return model_bytes(theirs) == model_bytes(ours)


def _model(bundle: Bundle, task: str) -> TrainedModel:
    return read_model(_member(bundle, f"{task}/ctr_model.safetensors"), f"{task}/ctr_model.safetensors")


def _predictions(bundle: Bundle, task: str) -> pd.DataFrame:
    name = f"{task}/predictions.parquet"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.parquet"
        path.write_bytes(_member(bundle, name))
        return read_columns(path, ["split", "row_id", "pctr"]).to_pandas()


def _array(bundle: Bundle) -> np.ndarray:
    name = "item_embedding.npy"
    try:
        return np.load(io.BytesIO(_member(bundle, name)), allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        raise MmctrError(f"{name} in the bundle is no array ({error}); it cannot be verified.") from error


def _member(bundle: Bundle, name: str) -> bytes:
    if name not in bundle.files:
        raise MmctrError(f"The bundle has no {name}; it cannot be verified. Fetch it again.")
    return bundle.files[name]

"""Do again what a bundle says was done, and say what differs."""

from __future__ import annotations

import io
import logging
import shutil
from typing import Any

import numpy as np
from kedro.pipeline import Pipeline

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import SUBMISSION_COLUMNS, RawFolder, Submission
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.encoders.store import VectorStore
from mmctr_kedro.evaluation.metrics import auc
from mmctr_kedro.models.model_file import model_bytes, read_model
from mmctr_kedro.pipelines import ctr, data_processing, embedding
from mmctr_kedro.pipelines.settings import SETTINGS
from mmctr_kedro.running.project import Project
from mmctr_kedro.submission.bundle import Bundle, differences
from mmctr_kedro.submission.settings import VerifyParams
from mmctr_kedro.submission.submission_zip import read_submission
from mmctr_kedro.submission.table_checks import check_predictions

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
        from the bundle's: versions, lock, machine, code. A difference alone fails nothing.
    """
    manifest, tasks = bundle.manifest, bundle.manifest["tasks"]
    differing = differences(bundle, project)
    have: dict[str, Any] = {
        f"params:{name}": SETTINGS[name].model_validate(block)
        for name, block in manifest["settings"].items()
        if name in SETTINGS
    }
    shutil.rmtree(verify_folder.path, ignore_errors=True)
    given = have["params:source"].name == "challenge_files"
    have["challenge_folder"] = challenge_folder if given else RawFolder(verify_folder.path / "challenge")
    have["log_folder"] = log_folder
    logger.info("rebuilding the data of %s", ", ".join(tasks))
    _make(data_processing.create_pipeline(), have)
    submission = read_submission(io.BytesIO(_member(bundle, "submission.zip")))
    findings = [
        _raw_data(manifest["raw_files"]["files"], have["raw_files"]["files"]),
        _format(submission, manifest, have["clicks_test"].row_id),
    ]
    if "item_embedding.npy" in bundle.files:
        try:
            have["item_embedding"] = np.load(io.BytesIO(bundle.files["item_embedding.npy"]), allow_pickle=False)
        except (ValueError, EOFError, MemoryError) as error:
            said = f"item_embedding.npy in the bundle is no array ({error}); it cannot be verified."
            raise MmctrError(said) from error
    exact = not differing  # with these libraries, this machine and this code nothing may differ by a bit
    for task in tasks:
        findings += _predicted_again(task, bundle, submission, have, 0.0 if exact else params.prediction_tolerance)
    if params.mode == "full":
        if set(tasks) != {"task2"}:
            logger.info("making the item embedding again")
            have |= {"covers": Covers.find(have["challenge_folder"].path)}
            have |= {"params:vector_store": VectorStore(verify_folder.path / "encoded")}
            theirs = have.pop("item_embedding")
            _make(embedding.create_pipeline().to_outputs("item_embedding"), have)
            findings.append(_embedding(theirs, have["item_embedding"], exact))
        for task in tasks:
            logger.info("training %s again", task)
            findings.append(_trained_again(task, bundle, have, exact, 0.0 if exact else params.auc_tolerance))
    return {
        "mode": params.mode,
        "tasks": tasks,
        "commit": manifest["commit"],
        "passed": all(finding["passed"] for finding in findings),
        "findings": findings,
        "differences": differing,
    }


def conclude(verification: dict[str, Any]) -> None:
    """Print what was found; raise where the bundle does not hold, once that is on disk."""
    found, differing, mode = verification["findings"], verification["differences"], verification["mode"]
    lines = [f"  {'ok  ' if one['passed'] else 'FAIL'}  {one['check']}: {one['says']}" for one in found]
    lines += [f"  differs: {name}: {says}" for name, says in differing.items()]
    said = "\n".join(lines)
    if not verification["passed"]:
        raise MmctrError(
            f"The bundle does not hold ({mode}):\n{said}\nLook at what differs first; then make the submission again "
            "from the bundle's commit, data and lock (REPRODUCE.md in it)."
        )
    print(f"\nThe bundle holds ({mode}):\n{said}\n", flush=True)


def _make(pipeline: Pipeline, have: dict[str, Any]) -> None:
    """Run a pipeline of the project on these datasets, and add to them all that it makes."""
    for node in pipeline.nodes:
        have |= node.run({name: have[name] for name in node.inputs})


def _finding(check: str, passed: bool, says: str) -> Finding:
    return {"check": check, "passed": bool(passed), "says": says}


def _member(bundle: Bundle, name: str) -> bytes:
    if name not in bundle.files:
        raise MmctrError(f"The bundle has no {name}; it cannot be verified. Fetch it again.")
    return bundle.files[name]


def _raw_data(theirs: dict[str, Any], ours: dict[str, Any]) -> Finding:
    """Raw files by SHA-256."""
    names = sorted({*theirs, *ours})
    sums = {name: [files.get(name, {}).get("sha256", "none")[:16] for files in (ours, theirs)] for name in names}
    wrong = [f"{name} has SHA-256 {us}, the bundle's run had {them}" for name, (us, them) in sums.items() if us != them]
    return _finding("raw data", not wrong, "; ".join(wrong) or f"{len(names)} raw files with the same SHA-256")


def _format(submission: Submission, manifest: dict[str, Any], test_ids: np.ndarray) -> Finding:
    """The submission is one the challenge takes, and marked as the manifest says."""
    wrong, marks = "", manifest["not_submittable"]
    if list(submission.table) != ["ID", *(SUBMISSION_COLUMNS[task] for task in manifest["tasks"])]:
        wrong = f"it has the columns {', '.join(map(str, submission.table))}"
    elif list(submission.not_submittable) != marks:
        wrong = "the zip and the manifest do not agree on whether it may be sent in"
    else:
        try:
            check_predictions(submission.table, test_ids, file="submission.zip", remedy="")
        except MmctrError as error:
            wrong = str(error)
    held = f"{len(submission.table):,} rows, valid" + ("; marked not submittable" if marks else "")
    return _finding("submission", not wrong, wrong or held)


def _predicted_again(
    task: str, bundle: Bundle, submission: Submission, have: dict[str, Any], limit: float
) -> list[Finding]:
    """The bundle's weights say what was submitted, and have the valid AUC that the manifest tells."""
    name, check, column = f"{task}/ctr_model.safetensors", f"{task} inference", SUBMISSION_COLUMNS[task]
    have[f"{task}.ctr_model"] = read_model(_member(bundle, name), name)
    try:
        _make(ctr.create_pipeline(task).only_nodes(f"{task}.predict"), have)
    except MmctrError as error:
        return [_finding(check, False, str(error))]
    ours = {split: rows["pctr"].to_numpy() for split, rows in have[f"{task}.predictions"].groupby("split")}
    test, submitted = ours["test"], submission.table
    if column not in submitted or len(submitted) != len(test):
        return [_finding(check, False, f"submission.zip has no {column} for every test row")]
    gap = float(np.abs(test - submitted[column].to_numpy()).max())
    differs = "all equal" if gap == 0 else f"largest difference {gap:.3g} (allowed here: {limit:g})"
    score, recorded = (
        auc(np.asarray(have["clicks_valid"].label), ours["valid"]),
        bundle.manifest["metrics"][task]["auc"],
    )
    return [
        _finding(check, gap <= limit, f"{len(test):,} test rows predicted again, {differs}"),
        _finding(
            f"{task} valid AUC",
            abs(score - recorded) <= max(limit, 1e-9),
            f"{score:.6f}, the bundle says {recorded:.6f}",
        ),
    ]


def _embedding(theirs: np.ndarray, ours: np.ndarray, exact: bool) -> Finding:
    if theirs.shape != ours.shape:
        return _finding("item embedding", False, f"has shape {ours.shape}, the bundle's {theirs.shape}")
    gap = float(np.abs(theirs - ours).max(initial=0))
    differs = "equal, byte for byte" if gap == 0 else f"differs by at most {gap:.3g}"
    return _finding("item embedding", gap == 0 or not exact, differs)


def _trained_again(task: str, bundle: Bundle, have: dict[str, Any], exact: bool, limit: float) -> Finding:
    from mmctr_kedro.training.loop import best_evaluation

    have[f"params:{task}.checkpoint"] = None
    _make(ctr.create_pipeline(task).only_nodes(f"{task}.train"), have)
    equal = model_bytes(have[f"{task}.ctr_model"]) == bundle.files[f"{task}/ctr_model.safetensors"]
    recorded = bundle.manifest["metrics"][task]["auc"]
    gap = best_evaluation(have[f"{task}.training_history"])["valid_auc"] - recorded
    said = (
        f"valid AUC {recorded + gap:.6f}, the bundle's {recorded:.6f}, difference {gap:+.6f} "
        f"(allowed here: {limit:g}); weights {'equal, byte for byte' if equal else 'differ'}"
    )
    return _finding(f"{task} training", (equal or not exact) and abs(gap) <= max(limit, 1e-9), said)

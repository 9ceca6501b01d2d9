"""A submission from anybody, checked against the test file it answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import CheckSubmissionParams
from mmctr_kedro.data.challenge import SUBMISSION_COLUMNS
from mmctr_kedro.submission.checks import id_problems, score_problems, twin_problems
from mmctr_kedro.submission.submitted_file import SHOWN, Submitted

HEADERS = [",".join(["ID", *SUBMISSION_COLUMNS.values()]), *(f"ID,{column}" for column in SUBMISSION_COLUMNS.values())]
_WHOLE = r"^[+-]?\d{1,18}$"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_NOT_FINITE = r"^(?i:[+-]?(nan|inf|infinity))$"


def check_submitted(
    check_submission: CheckSubmissionParams, submitted: Submitted, submitted_test_ids: np.ndarray
) -> dict[str, Any]:
    """Everything there is to say about a file that was handed in.

    Returns:
        ``accepted``, ``problems`` (why it would be refused), ``warnings``, ``container`` (what the file is),
        ``header``, ``ids`` (counts against the test file) and ``columns``: counts and range of each column of scores.
    """
    problems, warnings = list(submitted.problems), list(submitted.warnings)
    ids, columns = {"expected": len(submitted_test_ids), "rows": len(submitted.table)}, {}
    if submitted.header is not None:
        names = _names(submitted.header)
        problems += _header_problems(submitted.header, names)
        numbers = {
            name: submitted.table[str(names.index(name))]
            for name in ("ID", *SUBMISSION_COLUMNS.values())
            if name in names
        }
        if "ID" in numbers:
            number, fit = _parsed(numbers.pop("ID"), _WHOLE, pa.int64())
            problems += _unparsed("ID", "a whole number", submitted, names, ~fit)
            problems += id_problems(number[fit], submitted_test_ids)
            ids |= _about_ids(number[fit], fit, submitted_test_ids)
            scores, sound = {}, {}
            for name, texts in numbers.items():
                scores[name], sound[name] = _parsed(texts, f"{_NUMBER}|{_NOT_FINITE}", pa.float64())
                problems += _unparsed(name, "a number", submitted, names, ~sound[name])
                problems += score_problems(name, number[sound[name]], scores[name][sound[name]])
                columns[name] = _about_scores(scores[name], sound[name])
                warnings += _odd_scores(name, columns[name], check_submission.few_scores)
            problems += twin_problems({name: column for name, column in scores.items() if sound[name].all()})
    return {
        "accepted": not problems,
        "problems": problems,
        "warnings": warnings,
        "container": submitted.facts,
        "header": submitted.header,
        "ids": ids,
        "columns": columns,
    }


def refuse_unfit(submission_check: dict[str, Any]) -> None:
    """Fail the run if the file would be refused; by then the report is on disk.

    Raises:
        MmctrError: With the whole report in words.
    """
    if not submission_check["accepted"]:
        raise MmctrError(
            f"{in_words(submission_check)}\nMend the file, or make it again: kedro run; then check it again: "
            "kedro run --pipeline check_submission"
        )


def in_words(submission_check: dict[str, Any]) -> str:
    """The report as a few aligned lines, for people."""
    found, ids = submission_check["container"], submission_check["ids"]
    holds = f", {', '.join(found['members'])}" if found.get("members") else ""
    lines = [
        ("file", f"{found['file']} ({found['container']}{holds}, {found['bytes']:,} bytes)"),
        ("header", repr(submission_check["header"])),
        ("rows", f"{ids['rows']:,}, the test file has {ids['expected']:,}"),
    ]
    if "missing" in ids:
        counts = ("missing", "unknown", "twice", "out_of_order", "not_whole", "gaps")
        lines.append(("ID", ", ".join(f"{ids[name]:,} {name.replace('_', ' ')}" for name in counts)))
    for name, about in submission_check["columns"].items():
        counts = ("not_numbers", "nan", "infinite", "outside", "at_0", "at_1")
        odd = "".join(f", {about[key]:,} {key.replace('_', ' ')}" for key in counts if about[key])
        range_ = "no number" if about["min"] is None else f"{about['min']:.6g} to {about['max']:.6g}"
        lines.append((name, f"{range_}, {about['distinct']:,} distinct{odd}"))
    problems = submission_check["problems"]
    verdict = "accepted" if not problems else f"would be refused: {len(problems)} problem{'s' * (len(problems) > 1)}"
    lines.append(("verdict", verdict))
    listed = [f"  - {problem}" for problem in problems]
    listed += [f"  - warning: {warning}" for warning in submission_check["warnings"]]
    return "\n".join([*(f"{name:<12} {text}" for name, text in lines), *listed])


# --- header ----------------------------------------------------------------------------------------------


def _names(header: str) -> list[str]:
    """Column names without the quotes and spaces they should not have."""
    return [name.strip().strip("\"'").strip() for name in header.split(",")]


def _header_problems(header: str, names: list[str]) -> list[str]:
    if header in HEADERS:
        return []
    hint = ""
    if ",".join(names) in HEADERS:
        hint = "; no quotes or spaces"
    elif other := [mark for mark in ";\t|" if header.replace(mark, ",") in HEADERS]:
        hint = f"; values are separated by {other[0]!r}, not by a comma"
    return [f"line 1: header {header[:80]!r}; expected {HEADERS[0]} or {', '.join(HEADERS[1:])}{hint}"]


# --- values ----------------------------------------------------------------------------------------------


def _parsed(texts: pd.Series, pattern: str, kind: pa.DataType) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of a column of strings, and which of them are numbers; 0 or NaN where not."""
    strings = pa.array(texts, pa.string())
    fit = pc.match_substring_regex(strings, pattern).to_numpy(zero_copy_only=False).astype(bool)
    plain = pc.utf8_ltrim(strings, "+")  # Arrow reads no +
    numbers = pc.if_else(pa.array(fit, pa.bool_()), plain, "0" if pa.types.is_integer(kind) else "nan").cast(kind)
    return numbers.to_numpy(zero_copy_only=False), fit


def _unparsed(name: str, expected: str, submitted: Submitted, names: list[str], wrong: np.ndarray) -> list[str]:
    rows = np.flatnonzero(wrong)
    if not len(rows):
        return []
    texts = submitted.table[str(names.index(name))]
    some = ", ".join(f"{texts[row][:40]!r} in line {submitted.lines[row]}" for row in rows[:SHOWN].tolist())
    return [f"{name}: {len(rows)} values are not {expected}: {some}"]


def _about_ids(ids: np.ndarray, fit: np.ndarray, expected: np.ndarray) -> dict[str, int]:
    distinct = np.unique(ids)
    return {
        "missing": len(np.setdiff1d(expected, ids)),
        "unknown": len(np.setdiff1d(ids, expected)),
        "twice": len(ids) - len(distinct),
        "out_of_order": int((ids[1:] < ids[:-1]).sum()),
        "not_whole": int((~fit).sum()),
        "gaps": int(distinct[-1] - distinct[0] + 1 - len(distinct)) if len(distinct) else 0,
    }


def _about_scores(scores: np.ndarray, sound: np.ndarray) -> dict[str, Any]:
    finite = scores[np.isfinite(scores)]
    return {
        "rows": len(scores),
        "not_numbers": int((~sound).sum()),
        "nan": int(np.isnan(scores[sound]).sum()),
        "infinite": int(np.isinf(scores).sum()),
        "outside": int(((finite < 0) | (finite > 1)).sum()),
        "min": float(finite.min()) if len(finite) else None,
        "mean": float(finite.mean()) if len(finite) else None,
        "max": float(finite.max()) if len(finite) else None,
        "distinct": len(np.unique(finite)),
        "at_0": int((finite == 0).sum()),
        "at_1": int((finite == 1).sum()),
    }


def _odd_scores(name: str, about: dict[str, Any], few: int) -> list[str]:
    odd = []
    if 1 < about["distinct"] < few <= about["rows"]:
        odd.append(f"{name}: only {about['distinct']} distinct scores in {about['rows']:,} rows: ties rank nothing")
    if ends := about["at_0"] + about["at_1"]:
        odd.append(f"{name}: {ends:,} scores are exactly 0 or 1, as no model should be sure")
    return odd

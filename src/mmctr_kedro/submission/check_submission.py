"""A submission from anybody, checked against the test file it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmctr_kedro.data.challenge import SUBMISSION_COLUMNS
from mmctr_kedro.submission.settings import CheckSubmissionParams
from mmctr_kedro.submission.submitted_file import SHOWN, Submitted, read_submitted, read_test_ids
from mmctr_kedro.submission.table_checks import check_ids, check_scores, twin_problems

HEADERS = [",".join(["ID", *SUBMISSION_COLUMNS.values()]), *(f"ID,{column}" for column in SUBMISSION_COLUMNS.values())]
_WHOLE = r"^[+-]?\d{1,18}$"
_NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:nan|inf|infinity))$"


def check_submission(file: Path | str, test: Path | str, few_scores: int = 100) -> dict[str, Any]:
    """What the challenge would say to a file, whoever made it.

    Args:
        file: A csv, or a zip of one.
        test: The test.parquet that it answers.
        few_scores: Fewer distinct scores than this in a column earn a warning.

    Returns:
        Plain JSON: ``accepted``, ``problems`` (why not), ``warnings`` and counts; see ``check_submitted``.

    Raises:
        MmctrError: One of the files is missing, or ``test`` is no test.parquet.
    """
    params = CheckSubmissionParams(few_scores=few_scores)
    return check_submitted(params, read_submitted(Path(file)), read_test_ids(Path(test)))


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
    header, names = submitted.header, []
    if header is not None:
        names = [name.strip().strip("\"'").strip() for name in header.split(",")]
        if header not in HEADERS:
            hint = "; no quotes or spaces" if ",".join(names) in HEADERS else ""
            if other := [mark for mark in ";\t|" if header.replace(mark, ",") in HEADERS]:
                hint = f"; values are separated by {other[0]!r}, not by a comma"
            expected = f"expected {HEADERS[0]} or {', '.join(HEADERS[1:])}"
            problems.append(f"line 1: header {header[:80]!r}; {expected}{hint}")
    if "ID" in names:
        number, whole = _numbers("ID", submitted, names.index("ID"), problems)
        counts, wrong = check_ids(number[whole], submitted_test_ids)
        ids |= counts | {"not_whole": int((~whole).sum())}
        problems += wrong
        complete = {}
        for name in [column for column in SUBMISSION_COLUMNS.values() if column in names]:
            scores, fit = _numbers(name, submitted, names.index(name), problems)
            about, wrong = check_scores(name, number[fit], scores[fit])
            columns[name] = {"rows": len(scores), "not_numbers": int((~fit).sum()), **about}
            problems += wrong
            if 1 < about["distinct"] < check_submission.few_scores <= len(scores):
                few = f"only {about['distinct']} distinct scores in {len(scores):,} rows"
                warnings.append(f"{name}: {few}: ties rank nothing")
            if sure := about["at_0"] + about["at_1"]:
                warnings.append(f"{name}: {sure:,} scores are exactly 0 or 1, as no model should be sure")
            if fit.all():
                complete[name] = scores
        problems += twin_problems(complete)
    return {
        "accepted": not problems,
        "problems": problems,
        "warnings": warnings,
        "container": submitted.facts,
        "header": header,
        "ids": ids,
        "columns": columns,
    }


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


def _numbers(name: str, submitted: Submitted, column: int, problems: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of a column, whole ones of ``ID``, and where there are any; others are told in ``problems``."""
    texts = submitted.table[column].combine_chunks()
    pattern, kind, filler = (_WHOLE, pa.int64(), "0") if name == "ID" else (_NUMBER, pa.float64(), "nan")
    fit = pc.match_substring_regex(texts, pattern)
    plain = pc.utf8_ltrim(texts, "+")  # Arrow reads no +
    values = pc.if_else(fit, plain, filler).cast(kind).to_numpy(zero_copy_only=False)
    is_number = fit.to_numpy(zero_copy_only=False)
    if len(rows := np.flatnonzero(~is_number).tolist()):
        some = ", ".join(f"{texts[row].as_py()[:40]!r} in line {submitted.lines[row]}" for row in rows[:SHOWN])
        problems.append(f"{name}: {len(rows)} values are not a {'whole ' * (name == 'ID')}number: {some}")
    return values, is_number

"""The rules of every table's scalar columns and of their order, as pandera schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from mmctr_kedro.data.processing.problems import Problems

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

INT32_MAX, INT64_MAX = 2**31 - 1, 2**63 - 1
# The challenge has 11,739. A model has a row per tag up to the largest: a damaged id must not ask for terabytes.
MAX_TAG = 1_000_000
ITEM_TABLES = {"item_info", "item_feature", "item_emb"}


def validate(name: str, frame: pd.DataFrame, file: str, problems: Problems) -> None:
    """Check the scalar columns that are there; every failing row becomes a problem of its column."""
    from pandera.errors import SchemaErrors

    try:
        _schema(name, list(frame.columns)).validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        for (column, check), rows in cases.groupby(["column", "check"], sort=False, dropna=False):
            expected = {"not_nullable": "a value", "field_uniqueness": "every value once"}.get(check, check)
            problems.add_rows(file, str(column), expected, rows["index"].to_numpy(), _values(check, rows))


def _values(check: str, rows: pd.DataFrame) -> list | None:
    if check == "not_nullable":
        return None
    return [repr(value) if isinstance(value, str) else value for value in rows["failure_case"]]


def _schema(name: str, columns: list[str]) -> DataFrameSchema:
    """The rules of one table's scalar columns, for those of its columns that are usable."""
    import pandera.pandas as pa

    def within(low: int, high: int) -> pa.Check:
        return pa.Check.in_range(low, high, error=f"{low}..{high}")

    positive = within(1, INT32_MAX)
    # A row's level may be 0 (padding, an item without a level); an item's own level may not.
    level = within(1, 10) if name in ITEM_TABLES else within(0, 10)
    ascending = pa.Check(lambda ids: ids.diff().fillna(1) > 0, error="an ID above the one before")
    rules: dict[str, pa.Column] = {
        "user_id": pa.Column(checks=positive),
        "item_id": pa.Column(
            checks=within(0, INT32_MAX) if name == "item_info" else positive, unique=name in ITEM_TABLES
        ),
        "likes_level": pa.Column(checks=level),
        "views_level": pa.Column(checks=level),
        "label": pa.Column(checks=pa.Check.isin([0, 1], error="0 or 1")),
        "ID": pa.Column(checks=[within(0, INT64_MAX), ascending]),
        "item_title": pa.Column(nullable=True),  # counted in the report
        "tag_id": pa.Column(checks=positive, unique=True),
        "word": pa.Column(checks=pa.Check.str_length(min_value=1, error="a word")),
    }
    return pa.DataFrameSchema({column: rules[column] for column in columns})

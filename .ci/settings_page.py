"""Write docs/settings.md from the settings' classes: every setting with its type, default and meaning."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mmctr_kedro.models.settings import MODEL_PARAMS
from mmctr_kedro.pipelines.settings import SETTINGS, OneLineChoices

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
INTRODUCTION = """# Settings

<!-- Written by `make docs` from the classes in each room's settings.py; do not edit. -->

Every setting of `conf/`, by its block. Any of them can be given to one run:
`kedro run --pipeline task2 --params ctr.learning_rate=0.002`. A misspelt key, a wrong type or a value out of range is
an error before any work, with a suggestion. What `conf/` leaves out, or sets to null, is the default here, or where a
model or a world's law has a value of its own, that. `task2.ctr` and `task1_and_2.ctr` are `ctr` where they say nothing
else; Task 1's model is fixed, so `task1.ctr` has few.
"""


def page() -> str:
    """The page, as Markdown: a table per block, and one per model."""
    blocks: dict[str, type[BaseModel]] = {"globals.yml": OneLineChoices, **SETTINGS}
    written = [INTRODUCTION]
    for name in [name for name in blocks if name not in ("task2.ctr", "task1_and_2.ctr")]:
        written += [f"\n## {name}\n", *_table(blocks[name])]
    for name, model in MODEL_PARAMS.items():
        written += [f"\n## ctr.model, where its name is {name}\n", *_table(model, "model.")]
        if own := model.own_training:
            values = ", ".join(f"`{key}` {value:g}" for key, value in own.items())
            written += [f"\nIn place of the defaults of `ctr`: {values}."]
    return "\n".join(written) + "\n"


def _table(block: type[BaseModel], at: str = "") -> Iterator[str]:
    yield f"{_first_paragraph(block)}\n"
    yield "| setting | type | default | meaning |"
    yield "|---|---|---|---|"
    for row in _rows(block, at):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _rows(block: type[BaseModel], at: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in block.model_fields.items():
        inner = [part for part in _parts(field.annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
        if field.discriminator:
            names = ", ".join(f"`{model}`" for model in MODEL_PARAMS)
            yield f"`{at}{name}.name`", names, f"`{field.default.name}`", field.description or ""
        elif inner and get_origin(field.annotation) is not dict:
            for one in inner:
                yield from _rows(one, f"{at}{name}.")
        elif not (
            field.annotation and get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1
        ):
            yield f"`{at}{name}`", _type(field), _default(field), " ".join((field.description or "").split())


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _type(field: FieldInfo) -> str:
    limits = ", ".join(
        f"{sign} {_number(getattr(limit, name))}"
        for limit in field.metadata
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"), ("multiple_of", "a multiple of"))
        if getattr(limit, name, None) is not None
    )
    return _words(field.annotation) + (f", {limits}" if limits else "")


def _number(value: float) -> str:
    return f"2^{value.bit_length() - 1}" if isinstance(value, int) and value >= 2**31 else f"{value:g}"


def _words(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in parts)
    if origin in (Union, UnionType):
        return " or ".join("null" if part is type(None) else _words(part) for part in parts)
    if origin is Annotated:
        return _words(parts[0])
    if origin is tuple:
        return f"list of {_words(parts[0])}"
    if origin is dict:
        return "block of ranges and lists"
    return {int: "whole number", float: "number", str: "text", bool: "true or false"}.get(annotation, str(annotation))


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "must be set"
    if isinstance(field.default, tuple):
        return f"`{list(field.default)}`"
    if field.default is None or isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`".replace("none", "null")
    if isinstance(field.default, str):
        return (
            f"`{field.default}`" if 0 < len(field.default) < 60 else "a text of its own" if field.default else "empty"
        )
    return f"`{field.default:g}`" if isinstance(field.default, float) else f"`{field.default}`"


def _first_paragraph(block: type[BaseModel]) -> str:
    said = re.split(r"\n\s*\n", block.__doc__ or "")[0]
    return " ".join(said.replace("``", "`").split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

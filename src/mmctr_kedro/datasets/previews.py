"""What Kedro-Viz shows of a dataset: tables and trees of short plain values, of which no more is read than is shown.

Kedro-Viz takes the kind of a preview from the annotation of ``preview()``, and a preview of None for none.
"""

from __future__ import annotations

import base64
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from kedro_datasets._typing import ImagePreview, JSONPreview, TablePreview

from mmctr_kedro.data.covers import files_below
from mmctr_kedro.data.parquet import damage_named, open_parquet

SHOWN = 8  # rows of a table
COLUMNS = 8  # of an array
VALUES = 6  # of a list in a cell
LETTERS = 600  # of a text in a cell: titles are strangers'
FILES = 20  # of one folder by name; of a fuller one their number

Preview = TypeVar("Preview", bound=Callable[..., Any])


def of_what_is_there(preview: Preview) -> Preview:
    """A dataset's ``preview`` that is None where nothing is saved yet, which is no error."""

    @wraps(preview)
    def shown(dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return preview(dataset, *args, **kwargs) if dataset.exists() else None

    return shown  # type: ignore[return-value]


def table(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> TablePreview:
    """Rows of any values under their headings, which must differ from one another."""
    data = [[cell(value) for value in row] for row in rows]
    return TablePreview({"index": list(range(len(data))), "columns": list(columns), "data": data})


def records_table(records: Sequence[dict[str, Any]], rows: int) -> TablePreview:
    """The first of some records, a column for each key of any of them."""
    shown = records[:rows]
    columns = list(dict.fromkeys(name for record in shown for name in record))
    return table(columns, [[record.get(name) for name in columns] for record in shown])


def tree(value: Any) -> JSONPreview:
    """A JSON value with what is short before what is nested, and numbers of four digits."""

    def ordered(value: Any) -> Any:
        if isinstance(value, dict):
            entries = sorted(value.items(), key=lambda entry: isinstance(entry[1], dict | list))
            return {name: ordered(of) for name, of in entries}
        if isinstance(value, list):
            return [ordered(entry) for entry in value]
        return float(f"{value:.4g}") if isinstance(value, float) else value

    return JSONPreview(json.dumps(ordered(value), ensure_ascii=False))


def cell(value: Any) -> Any:
    """One value as a table shows it: numbers of four digits, a list by its first values, a long text cut."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        entries = [str(cell(entry)) for entry in value[:VALUES]] + [f"... {len(value):,} in all"] * (
            len(value) > VALUES
        )
        words = any(isinstance(entry, str) for entry in value[:VALUES])
        return (", " if words else ",\N{NO-BREAK SPACE}").join(entries)  # a vector on one line
    if value is None or isinstance(value, int):
        return "" if value is None else value
    text = str(value)
    return text if len(text) <= LETTERS else text[:LETTERS] + "..."


def parquet_table(path: Path, rows: int) -> TablePreview:
    """The first rows of a parquet file under names and types; reads them alone."""
    parquet = open_parquet(path)
    with damage_named(path):
        head = pa.Table.from_batches(islice(parquet.iter_batches(rows), 1), parquet.schema_arrow)
    columns = [
        f"row of {parquet.metadata.num_rows:,}",
        *(f"{name} {_type(head[name].type)}" for name in head.schema.names),
    ]
    return table(columns, [[row, *values.values()] for row, values in enumerate(head.to_pylist())])


def _type(of: pa.DataType) -> str:
    """An Arrow type as one says it: ``int32[]``, ``float[128]``."""
    if pa.types.is_fixed_size_list(of):
        return f"{of.value_type}[{of.list_size}]"
    return f"{of.value_type}[]" if pa.types.is_list(of) else str(of)


def files_table(path: Path) -> TablePreview:
    """The files of a folder, or one: bytes, and of parquet rows and columns; of a full folder how many it holds."""
    folders = defaultdict(list)
    for name in sorted(files_below(path)) if path.is_dir() else [path.name]:
        if not Path(name).name.startswith("."):  # seals are
            folders[Path(name).parent].append(name)
    rows: list[list[Any]] = []
    for folder, names in folders.items():
        if len(names) > FILES:
            rows.append([f"{folder.as_posix()}/", f"{len(names):,} files", "", ""])
        else:
            rows += [[name, *_file(path / name if path.is_dir() else path)] for name in names]
    return table(["file", "bytes", "rows", "columns"], rows)


def _file(path: Path) -> list[Any]:
    """Bytes, rows and columns."""
    size = f"{path.stat().st_size:,}"
    if path.suffix != ".parquet":
        return [size, "", ""]
    parquet = open_parquet(path)
    return [size, f"{parquet.metadata.num_rows:,}", parquet.schema_arrow.names]


def png(pixels: np.ndarray) -> ImagePreview:
    """A picture ``[height, width, 3]`` uint8 as base64 of a PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).quantize(256).save(file, "PNG")  # a quarter of the bytes that all colours take
    return ImagePreview(base64.b64encode(file.getvalue()).decode())


def page_table(html: str, rows: int) -> TablePreview:
    """What an HTML page says in words, section by section, under its title.

    The viewer would drop a page's scripts, which draw its figures, and take the underscores in it for Markdown.
    """
    words = _Words()
    words.feed(html)
    (_, title), *lines = words.lines
    return table(["", title], lines[:rows])


class _Words(HTMLParser):
    """The title, paragraphs, rows of tables and innermost boxes of a page as ``lines``: heading above, words."""

    _HEADINGS, _LINES = {"h2", "h3"}, {"title", "p", "li", "tr", "div"}

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []
        self._heading = self._words = ""
        self._open: str | None = None

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag in self._LINES | self._HEADINGS:
            self._open, self._words = tag, ""

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:  # in no script and no style
            self._words += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._words += " · "
        elif self._open == "div":  # its parts stand apart, whatever the style
            self._words += " "
        if tag != self._open:
            return
        words = " ".join(self._words.split()).removesuffix(" ·")
        if tag in self._HEADINGS:
            self._heading = words
        elif words:
            self.lines.append((self._heading, words))
            self._heading = ""
        self._open = None

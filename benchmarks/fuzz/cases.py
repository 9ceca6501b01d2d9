"""One case of the fuzz: a file of a reader's is mutated, the reader reads, and a verdict says what it made of it."""

from __future__ import annotations

import hashlib
import logging
import random
import shutil
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mmctr_kedro.common.errors import MmctrError

VERDICTS = ("refused", "made anew", "same", "as it stands", "ACCEPTED ALTERED", "CRASH")
BAD = VERDICTS[-2:]


@dataclass(frozen=True)
class Reader:
    """A reader of the project's and the files it is given.

    Attributes:
        make: Writes sound files below an empty folder.
        read: The value in them; raises MmctrError where they are refused.
        plain: For files that somebody else may have written, where other content is other legal content: the same
            value from the same bytes, read independently. None for files of our own, where any other value is a fault.
        heals: For stores that make anew what they have lost: whether a value lacks parts and holds no others.
        weight: Share of all cases.
    """

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], Any]
    plain: Callable[[Path], Any] | None = None
    heals: Callable[[Any, Any], bool] | None = None
    weight: int = 1


@dataclass(frozen=True)
class Outcome:
    """What became of one case; ``told`` is the error, or how the value was read."""

    reader: str
    case: int
    verdict: str
    change: str
    told: str = ""


# --- mutations -------------------------------------------------------------------------------------------


def _flip_bits(data: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _replace_run(data: bytearray, rng: random.Random) -> bytes:
    start, length = _run(data, rng)
    data[start : start + length] = rng.randbytes(length)
    return bytes(data)


def _truncate(data: bytearray, rng: random.Random) -> bytes:
    return bytes(data[: rng.randrange(len(data))])


def _insert(data: bytearray, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    return bytes(data[:start]) + rng.randbytes(rng.randint(1, 64)) + bytes(data[start:])


def _cut_out(data: bytearray, rng: random.Random) -> bytes:
    start, length = _run(data, rng)
    return bytes(data[:start] + data[start + length :])


def _repeat(data: bytearray, rng: random.Random) -> bytes:
    start, length = _run(data, rng)
    return bytes(data[: start + length] + data[start:])


def _splice(data: bytearray, rng: random.Random) -> bytes:
    """One block of the file over another."""
    start, length = _run(data, rng)
    other = rng.randrange(len(data) - length + 1)
    data[other : other + length] = data[start : start + length]
    return bytes(data)


def _zero(data: bytearray, rng: random.Random) -> bytes:
    start, length = _run(data, rng)
    data[start : start + length] = bytes(length)
    return bytes(data)


def _swap_halves(data: bytearray, rng: random.Random) -> bytes:
    half = len(data) // 2
    return bytes(data[half:] + data[:half])


def _append(data: bytearray, rng: random.Random) -> bytes:
    return bytes(data) + rng.randbytes(rng.randint(1, 64))


def _empty(data: bytearray, rng: random.Random) -> bytes:
    return b""


def _digit(data: bytearray, rng: random.Random) -> bytes:
    """Another digit for a digit: text stays well-formed, and so do many a number and a name."""
    places = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
    if places:
        data[rng.choice(places)] = rng.randrange(48, 58)
    return bytes(data)


def _run(data: bytearray, rng: random.Random) -> tuple[int, int]:
    length = min(len(data), rng.choice([1, 2, 4, 16, 64, 512]))
    return rng.randrange(len(data) - length + 1), length


MUTATIONS: list[tuple[Callable[[bytearray, random.Random], bytes], int]] = [
    (_flip_bits, 6), (_replace_run, 3), (_truncate, 2), (_insert, 2), (_cut_out, 2), (_repeat, 2), (_splice, 2),
    (_zero, 2), (_swap_halves, 1), (_append, 1), (_empty, 1), (_digit, 3),
]  # fmt: skip


def mutate(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Other bytes than these, and the name of what was done to them."""
    while True:
        change = rng.choices([change for change, _ in MUTATIONS], [weight for _, weight in MUTATIONS])[0]
        if not data and change is not _append:
            continue
        changed = change(bytearray(data), rng)
        if changed != data:
            return changed, change.__name__.strip("_").replace("_", " ")


# --- a case ----------------------------------------------------------------------------------------------


class Bench:
    """The sound files of each reader, made once, and the value in them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._originals: dict[str, tuple[Path, Any]] = {}

    def original(self, reader: Reader) -> tuple[Path, Any]:
        if reader.name not in self._originals:
            path = self._folder / hashlib.sha256(reader.name.encode()).hexdigest()[:8]
            path.mkdir()
            reader.make(path)
            self._originals[reader.name] = path, reader.read(path)
        return self._originals[reader.name]

    def case(self, reader: Reader, number: int) -> Outcome:
        """Case ``number`` of a reader, always the same."""
        sound, original = self.original(reader)
        rng = random.Random(f"{reader.name}/{number}")
        with tempfile.TemporaryDirectory(dir=self._folder) as room:
            folder = Path(room) / "files"
            shutil.copytree(sound, folder)
            file = rng.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
            changed, how = mutate(file.read_bytes(), rng)
            file.write_bytes(changed)
            verdict, told = _verdict(reader, folder, original)
        return Outcome(reader.name, number, verdict, f"{how} in {file.relative_to(folder)}", told)


def _verdict(reader: Reader, folder: Path, original: Any) -> tuple[str, str]:
    log = _Log()
    with warnings.catch_warnings(), log:
        warnings.simplefilter("ignore")
        try:
            value = reader.read(folder)
        except Exception as error:
            if (refusal := _refusal(error)) is not None:
                return "refused", str(refusal)
            return "CRASH", _told(error)
        if same(value, original):
            return "same", ""
        if reader.heals is not None and reader.heals(value, original):
            return ("made anew", log.lines[0]) if log.lines else ("ACCEPTED ALTERED", "parts were lost without a word")
        if reader.plain is None:
            return "ACCEPTED ALTERED", difference(value, original)
        try:
            plain = reader.plain(folder)
        except Exception as error:
            return "ACCEPTED ALTERED", f"an independent reading fails: {type(error).__name__}: {error}"
        return ("as it stands", "") if same(value, plain) else ("ACCEPTED ALTERED", difference(value, plain))


def _refusal(error: BaseException | None) -> MmctrError | None:
    """The project's own error in a chain of causes: Kedro wraps what a dataset raises."""
    while error is not None and not isinstance(error, MmctrError):
        error = error.__cause__
    return error


def _told(error: BaseException) -> str:
    """The first of the errors that led to this one, and where it was raised."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return f"{type(error).__name__}: {str(error)[:300]} ({' > '.join(places[-4:])})"


class _Log(logging.Handler):
    """Collects the project's warnings while it is entered, and keeps them from the screen."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __enter__(self) -> _Log:
        self._logger = logging.getLogger("mmctr_kedro")
        self._before = self._logger.propagate
        self._logger.addHandler(self)
        self._logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = self._before


# --- values ----------------------------------------------------------------------------------------------


def same(value: Any, other: Any) -> bool:
    """Whether two values are equal in type, shape and every bit (NaN equals itself)."""
    return canonical(value) == canonical(other)


def canonical(value: Any) -> Any:
    """Any value a reader gives as tuples, strings and bytes, which compare as they look."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return "array", str(value.dtype), value.shape, np.ascontiguousarray(value).tobytes()
    if isinstance(value, np.ndarray | list | tuple):
        return "list", tuple(canonical(entry) for entry in value)
    if isinstance(value, dict):
        return "dict", tuple(sorted((repr(key), canonical(entry)) for key, entry in value.items()))
    if isinstance(value, pd.DataFrame):
        return "frame", tuple((name, canonical(value[name].to_numpy())) for name in value)
    if isinstance(value, pa.Table):
        return "table", value.schema.to_string(), canonical(value.to_pylist())
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, canonical({field.name: getattr(value, field.name) for field in fields(value)})
    return type(value).__name__, repr(value)


def difference(value: Any, other: Any, at: str = "") -> str:
    """Where two values first differ, for people."""
    value, other = (asdict(v) if is_dataclass(v) and not isinstance(v, type) else v for v in (value, other))
    if isinstance(value, dict) and isinstance(other, dict):
        for key in [*value, *other]:
            if key not in value or key not in other:
                return f"{at}.{key}: in one only"
            if not same(value[key], other[key]):
                return difference(value[key], other[key], f"{at}.{key}")
    if isinstance(value, list | tuple) and isinstance(other, list | tuple) and len(value) == len(other):
        for place, (a, b) in enumerate(zip(value, other, strict=True)):
            if not same(a, b):
                return difference(a, b, f"{at}[{place}]")
    return f"{at}: {str(value)[:200]!r} for {str(other)[:200]!r}"

"""What users bring: sound examples, and each read a second time by other means than the project's."""

from __future__ import annotations

import csv
import gzip
import io
import re
import shutil
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from omegaconf import OmegaConf

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.images import Refused, decode
from mmctr_kedro.data.importing.log_files import ItemTable, Log
from mmctr_kedro.hooks import ProjectHooks
from mmctr_kedro.running.configuration import ConfigLoader
from mmctr_kedro.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[2] / "conf"

# --- logs ------------------------------------------------------------------------------------------------


def make_rows(folder: Path) -> None:
    rng = np.random.default_rng(11)
    rows = [f"{rng.integers(1, 9)},{rng.integers(1, 12) * 10},{rng.integers(1, 6)},{time}" for time in range(60)]
    (folder / "interactions.csv").write_text("user,item,rating,timestamp\n" + "\n".join(rows) + "\n")
    _make_items(folder)


def make_sequences(folder: Path) -> None:
    rng = np.random.default_rng(12)
    rows = [f"{user}\t{' '.join(map(str, rng.integers(1, 12, 6) * 10))}" for user in range(1, 12)]
    (folder / "pairs.tsv").write_text("\n".join(rows) + "\n")
    _make_items(folder)


def _make_items(folder: Path) -> None:
    rows = [f'{10 * n},"Title, the {n}th",a|b{n % 3}' for n in range(1, 13)]
    (folder / "items.csv").write_text("item,title,tags\n" + "\n".join(rows) + "\n")


def plain_rows(folder: Path) -> tuple[Log, ItemTable]:
    header, *rows = _lines(folder / "interactions.csv", ",")
    user, item, rating, time = (header.index(name) for name in ("user", "item", "rating", "timestamp"))
    events = [(row[user].strip(), row[item].strip(), int(row[time]), float(row[rating]) >= 3) for row in rows]
    return _numbered(events, [user for user, *_ in events], folder)


def plain_sequences(folder: Path) -> tuple[Log, ItemTable]:
    rows = _lines(folder / "pairs.tsv", "\t")
    events = [(user.strip(), item, at, True) for user, items in rows for at, item in enumerate(items.split())]
    return _numbered(events, [user.strip() for user, _ in rows], folder)


def _lines(path: Path, separator: str) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [row for row in csv.reader(file, delimiter=separator) if row]


def _numbered(events: list[tuple[str, str, int, bool]], users_named: list[str], folder: Path) -> tuple[Log, ItemTable]:
    """Source ids numbered from 1 in their order, events by user, time and place."""
    header, *rows = _lines(folder / "items.csv", ",")
    place = {name: header.index(name) for name in ("item", "title", "tags")}
    table = {row[place["item"]].strip(): row for row in rows}
    users, user_ids = _sorted_ids(users_named)
    items, item_ids = _sorted_ids([*(item for _, item, *_ in events), *table])
    order = sorted(range(len(events)), key=lambda at: (users[events[at][0]], events[at][2]))
    in_log = {items[item] for _, item, *_ in events}
    by_number = {items[item]: row for item, row in table.items()}
    numbers = range(1, len(item_ids) + 1)
    titles = [by_number[n][place["title"]].strip() if n in by_number else "" for n in numbers]
    tags = [by_number[n][place["tags"]] if n in by_number else "" for n in numbers]
    log = Log(
        np.array([users[events[at][0]] for at in order], np.int32),
        np.array([items[events[at][1]] for at in order], np.int32),
        np.array([events[at][2] for at in order], np.int64),
        np.array([events[at][3] for at in order], bool),
        user_ids,
    )
    return log, ItemTable(
        item_ids,
        titles,
        [list(dict.fromkeys(word for part in text.split("|") if (word := part.strip()))) for text in tags],
        np.array([n in by_number for n in numbers]),
        np.array([n in in_log for n in numbers]),
    )


def _sorted_ids(found: list[str]) -> tuple[dict[str, int], np.ndarray]:
    """The number of every id, and all ids in order: by value where all are whole numbers."""
    whole = all(re.fullmatch(r"-?[0-9]{1,18}", text) for text in found)
    ids = sorted({int(text) if whole else text for text in found})
    number = {name: place + 1 for place, name in enumerate(ids)}
    return {text: number[int(text) if whole else text] for text in found}, np.array(ids)


# --- covers ----------------------------------------------------------------------------------------------


def make_covers(end: str, folder: Path) -> None:
    """Three pictures of different formats, packed without a clock."""
    from PIL import Image

    pictures = {}
    for item, kind in ((1, "JPEG"), (2, "PNG"), (30, "WEBP")):
        buffer = io.BytesIO()
        pixels = np.random.default_rng(item).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(buffer, kind)
        pictures[f"item_images/{item}.{kind.lower()}"] = buffer.getvalue()
    path = folder / f"item_images{end}"
    if not end:
        path.mkdir()
        for name, data in pictures.items():
            (folder / name).write_bytes(data)
    elif end == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in pictures.items():
                archive.writestr(zipfile.ZipInfo(name), data)
    else:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, data in pictures.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        path.write_bytes(gzip.compress(buffer.getvalue(), mtime=0) if end == ".tar.gz" else buffer.getvalue())


def read_covers(folder: Path) -> dict[int, bytes]:
    """The bytes of every cover that an encoder would take.

    Raises:
        MmctrError: With the reason for the first cover that would be reported and left out, too.
    """
    covers = Covers.find(folder)
    found = {item: data for item, data in covers.read(covers.item_ids) if data is not None}
    for item, data in found.items():
        if isinstance(refused := decode(data, 8), Refused):
            raise MmctrError(f"cover {item}: {refused.why}")
    return found


def plain_covers(end: str, folder: Path) -> dict[int, bytes]:
    path = folder / f"item_images{end}"
    if not end:
        files = {file.name: file.read_bytes() for file in path.iterdir()}
    elif end == ".zip":
        with zipfile.ZipFile(path) as archive:
            files = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
    else:
        with tarfile.open(path) as archive:
            files = {m.name: archive.extractfile(m).read() for m in archive if m.isreg()}  # type: ignore[union-attr]
    found: dict[int, bytes] = {}
    for name in sorted(files, key=lambda name: (-len(name), name), reverse=False):
        stem, _, kind = name.replace("\\", "/").rpartition("/")[2].rpartition(".")
        if stem.isascii() and stem.isdigit() and kind.lower() in ("jpg", "jpeg", "png", "webp"):
            found[int(stem)] = files[name]
    return found


# --- submissions -----------------------------------------------------------------------------------------


def plain_csv(folder: Path) -> list[list[str]]:
    return _cells((folder / "prediction.csv").read_bytes())


def plain_zip(folder: Path) -> list[list[str]]:
    with zipfile.ZipFile(folder / "a.zip") as archive:
        return _cells(archive.read("prediction.csv"))


def _cells(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))


def plain_test_ids(folder: Path) -> np.ndarray:
    return np.array(pq.read_table(folder / "test.parquet")["ID"].to_pylist(), np.int64)


# --- settings --------------------------------------------------------------------------------------------

FILES = ("parameters*.yml", "globals.yml", "catalog*.yml")


def make_settings(folder: Path) -> None:
    for env in ("base", "smoke"):
        (folder / env).mkdir()
        for pattern in FILES:
            for file in (CONF / env).glob(pattern):
                shutil.copy(file, folder / env)


def read_settings(folder: Path) -> dict[str, Any]:
    """As a run reads them before any work."""
    loader = ConfigLoader(str(folder), env="smoke", **CONFIG_LOADER_ARGS)
    ProjectHooks().after_context_created(SimpleNamespace(config_loader=loader, project_path=folder))  # type: ignore[arg-type]
    return {name: dict(loader[name]) for name in ("parameters", "globals", "catalog")}


def plain_settings(folder: Path) -> dict[str, Any]:
    """What the files say, those of smoke over those of base; what they take from elsewhere follows from the rest."""
    resolved = read_settings(folder)
    plain: dict[str, Any] = {}
    for pattern in FILES:
        merged: dict[str, Any] = {}
        for env in ("base", "smoke"):
            for file in sorted((folder / env).glob(pattern)):
                _lay_over(merged, OmegaConf.to_container(OmegaConf.load(file)))  # type: ignore[arg-type]
        name = pattern.partition(".")[0].rstrip("*")
        shown = {
            key: value for key, value in merged.items() if not str(key).startswith("_")
        }  # the rest is Kedro's to use
        plain[name] = _filled(shown, resolved[name])
    return plain


def _lay_over(below: dict[str, Any], above: dict[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _lay_over(below[key], value)
        else:
            below[key] = value


def _filled(raw: Any, resolved: Any) -> Any:
    """The raw tree with the resolved value wherever it says ``${...}``."""
    if isinstance(raw, dict) and isinstance(resolved, dict):
        return {key: _filled(value, resolved.get(key)) for key, value in raw.items()}
    if isinstance(raw, list) and isinstance(resolved, list) and len(raw) == len(resolved):
        return [_filled(*pair) for pair in zip(raw, resolved, strict=True)]
    return resolved if isinstance(raw, str) and "${" in raw else raw

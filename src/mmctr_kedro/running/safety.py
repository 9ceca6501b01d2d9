"""Which classes the catalog may ask for: Kedro would import, and so run, whatever a YAML file names.

YAML's own tags for Python objects are refused by the loader below Kedro, and classes in conf/logging.yml by Kedro.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from mmctr_kedro.common.errors import MmctrError

OURS = "mmctr_kedro."
_IN_MEMORY = ("MemoryDataset", "CachedDataset", "SharedMemoryDataset")  # of kedro.io
# What these load may run any program: pickles, or a library's own format with pickles inside.
_PICKLES = ("pickle.", "tensorflow.", "huggingface.", "pandas.HDFDataset", "pandas.GenericDataset", "langchain.")
_PICKLERS = ("pickle", "joblib", "dill", "cloudpickle", "compress_pickle")


def check_catalog(catalog: dict[str, Any]) -> None:
    """Refuse every entry whose class is not Kedro's or ours, or loads pickles; of strangers nothing is imported for it.

    Args:
        catalog: The merged tree of conf/, as the configuration loader gives it.

    Raises:
        MmctrError: With every entry, the class it asks for and what is allowed.
    """
    if problems := [problem for name, entry in catalog.items() for problem in _problems(name, entry)]:
        raise MmctrError(
            "\n".join(
                [
                    f"{len(problems)} catalog entr{'y' if len(problems) == 1 else 'ies'} in conf/ may not be loaded:",
                    *(f"  - {problem}" for problem in problems),
                    "Allowed are datasets of kedro.io, kedro_datasets and mmctr_kedro.datasets, but for pickles, and "
                    "validators of mmctr_kedro.",
                ]
            )
        )


def _problems(name: str, entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict):  # a pattern or an anchor, of which Kedro makes no dataset
        return
    if "type" in entry:
        kind = entry["type"]
        if not isinstance(kind, str) or not _is_known(kind):
            yield f"{name}: type {kind!r} is no dataset of Kedro or of this project"
        elif _short(kind).startswith(_PICKLES) or entry.get("backend") in _PICKLERS:
            yield f"{name}: type {kind!r} loads pickles, which may run any program; keep it as parquet, .npy or JSON"
    validator = entry.get("validator")
    validator = validator.get("class") if isinstance(validator, dict) else validator
    if validator is not None and not str(validator).startswith(OURS):
        yield f"{name}: validator {validator!r} is none of this project"
    if "dataset" in entry:  # what a partitioned or cached dataset is made of
        inner = entry["dataset"]
        yield from _problems(f"{name}.dataset", {"type": inner} if isinstance(inner, str) else inner)


def _short(kind: str) -> str:
    return kind.removeprefix("kedro_datasets.").removeprefix("kedro.io.")


def _is_known(kind: str) -> bool:
    if kind.startswith(OURS):
        return kind.startswith(f"{OURS}datasets.")
    package, _, rest = _short(kind).partition(".")
    if not rest:
        return package in _IN_MEMORY
    if not package.isidentifier() or package.startswith("_") or find_spec(f"kedro_datasets.{package}") is None:
        return False
    # Kedro looks in its own packages first, and among all modules of the machine for what it does not find there.
    return kind.startswith("kedro_datasets.") or rest in dir(import_module(f"kedro_datasets.{package}"))

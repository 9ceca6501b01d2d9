"""The catalog's handle on what nodes read and write through: stores, and what is read from a place and never saved."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError


class StoreDataset(AbstractDataset[Any, Any]):
    """Loads ``store(Path(filepath))``, whether or not anything is there yet.

    Args:
        store: A class or function by its full name. For the planner it may have ``cache = True``, where what lies there
            decides no result, only how soon it is there, or ``fingerprint()``, which says what it is.
    """

    def __init__(self, *, filepath: str, store: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._store = resolve_name(store)
        self.cache = getattr(self._store, "cache", False)
        self.metadata = metadata

    @property
    def fingerprint(self) -> Callable[[], str]:
        """The store's own; there is none (AttributeError) where the store has none."""
        return partial(self._store.fingerprint, self._store(self._filepath))

    def load(self) -> Any:
        return self._store(self._filepath)

    def save(self, data: Any) -> NoReturn:
        raise DatasetError(
            f"{self._filepath} is a store and cannot be a node's output. Take it as an input, write through it and "
            "return a description of what was written, as raw_files does."
        )

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "store": self._store.__qualname__}

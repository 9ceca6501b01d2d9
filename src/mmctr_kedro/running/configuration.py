"""Kedro's configuration loader, but that a file of conf/ that cannot be read is the user's mistake and named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException, OmegaConfigLoader
from kedro.framework.context import KedroContext
from omegaconf import OmegaConf

from mmctr_kedro.common.errors import MmctrError


class ConfigLoader(OmegaConfigLoader):
    """``OmegaConfigLoader``; ``MmctrError`` where YAML, OmegaConf or Kedro cannot make sense of a file.

    Each kind of file is read once: that takes a tenth of a second, and is asked for up to three times.
    """

    def __init__(self, conf_source: str, *arguments: Any, **settings: Any) -> None:
        self._read: dict[str, Any] = {}
        with _naming_the_file(conf_source):
            super().__init__(conf_source, *arguments, **settings)

    def __getitem__(self, key: str) -> Any:
        if key not in self._read or key in self:  # the latter: set by hand
            with _naming_the_file(self.conf_source):
                self._read[key] = super().__getitem__(key)
        return deepcopy(self._read[key])


@contextmanager
def _naming_the_file(conf_source: str | Path) -> Iterator[None]:
    try:
        yield
    except (MissingConfigException, MmctrError):
        raise
    except Exception as error:  # the three libraries raise a dozen classes, not all of which name the file
        place, why = str(conf_source), error
        for file in sorted(Path(conf_source).rglob("*.yml")):
            try:
                OmegaConf.load(file)
            except Exception as own:  # it cannot be read even alone
                place, why = f"{file} cannot be read", own
                break
        raise MmctrError(
            f"{place}: {type(why).__name__}: {' '.join(str(why).split())[:300]}. Mend the file; YAML there is plain, "
            "without tags such as !!python/object, which would run what they name."
        ) from error


def data_root(context: KedroContext) -> Path:
    """The folder below which a run of this session writes."""
    config = context.config_loader
    return Path(context.project_path, (config.runtime_params or {}).get("root") or config["globals"]["root"])

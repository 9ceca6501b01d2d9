"""Kedro's configuration loader, made so that a setting acts wherever it is set.

And a file of conf/ that cannot be read is the user's mistake and named.
"""

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
from mmctr_kedro.common.params import at_home, find


class ConfigLoader(OmegaConfigLoader):
    """``OmegaConfigLoader``; ``MmctrError`` where YAML, OmegaConf or Kedro cannot make sense of a file.

    Kedro resolves ``${...}`` in each environment before it merges them, and knows no parameters in the catalog. So what
    is a default of other blocks is passed on here, once all is merged, and the catalog may say
    ``${parameters:verify.bundle, otherwise}``. A setting's ``~/`` is the home folder.

    Each kind of file is read once: that takes a tenth of a second, and is asked for up to three times.
    """

    def __init__(self, conf_source: str, *arguments: Any, **settings: Any) -> None:
        self._read: dict[str, Any] = {}
        with _naming_the_file(conf_source):
            super().__init__(conf_source, *arguments, **settings)
        self.runtime_params = at_home(self.runtime_params or {})

    def __getitem__(self, key: str) -> Any:
        if key not in self._read or key in self:  # the latter: set by hand
            with _naming_the_file(self.conf_source):
                OmegaConf.register_new_resolver("parameters", self._parameter, replace=True)
                self._read[key] = super().__getitem__(key)
                if key in ("globals", "parameters"):  # the catalog takes paths from them
                    self._read[key] = at_home(self._read[key])
                if key == "parameters":
                    pass_on(self._read[key])
        return deepcopy(self._read[key])

    def _parameter(self, name: str, otherwise: Any = None) -> Any:
        return find(self["parameters"], name) or otherwise


def pass_on(parameters: dict[str, Any]) -> None:
    """Make ``ctr`` the default of each task whose model is not fixed."""
    for task in ("task2", "task1_and_2"):
        default, own = find(parameters, "ctr", {}), find(parameters, f"{task}.ctr", {})
        if isinstance(default, dict) and isinstance(own, dict) and isinstance(parameters.setdefault(task, {}), dict):
            parameters[task]["ctr"] = OmegaConf.to_container(OmegaConf.merge(default, own))


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

"""YAML in conf/ may choose among our classes and Kedro's, and make nothing else be imported or run."""

import re
from pathlib import Path

import pytest

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.running.safety import check_catalog


def evil(folder: Path) -> str:
    """A module that leaves a file behind when it is imported."""
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nclass Evil: pass\n")
    return "evil.Evil"


@pytest.mark.parametrize(
    "kind",
    [
        "evil.Evil",
        "os.system",
        "subprocess.Popen",
        "mmctr_kedro.hooks.ProjectHooks",
        "mmctr_kedro_evil.Evil",
        "kedro.framework.cli.cli.main",
        "kedro_datasets_experimental.pytorch.PyTorchDataset",
        "text.Evil",  # kedro_datasets has a text, and no such class: Kedro would go on to a module `text`
        "json.decoder.JSONDecoder",
        ".json.JSONDataset",
        "_typing.TablePreview",
        "LambdaDataset",
        7,
    ],
)
def test_a_class_of_strangers_is_refused_by_name(kind):
    with pytest.raises(MmctrError, match=rf"clicks: type {re.escape(repr(kind))} is no dataset"):
        check_catalog({"clicks": {"type": kind, "filepath": "x"}})


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "pickle.PickleDataset"},
        {"type": "kedro_datasets.pickle.PickleDataset"},
        {"type": "kedro_datasets.pickle.pickle_dataset.PickleDataset"},
        {"type": "pandas.HDFDataset"},
        {"type": "pandas.ParquetDataset", "backend": "joblib"},
        {"type": "tensorflow.TensorFlowModelDataset"},
    ],
)
def test_a_dataset_that_unpickles_is_refused(entry):
    with pytest.raises(MmctrError, match=r"model: type .* loads pickles"):
        check_catalog({"model": entry})


def test_what_a_partitioned_or_cached_dataset_is_made_of_is_looked_at_too():
    for inner in ("evil.Evil", {"type": "evil.Evil"}, {"type": "CachedDataset", "dataset": {"type": "evil.Evil"}}):
        with pytest.raises(MmctrError, match=r"parts\.dataset.*'evil\.Evil'"):
            check_catalog({"parts": {"type": "partitions.PartitionedDataset", "dataset": inner}})


@pytest.mark.parametrize("validator", ["evil.check", {"class": "evil.Schema", "on": ["load"]}])
def test_a_validator_of_strangers_is_refused(validator):
    with pytest.raises(MmctrError, match=r"clicks: validator 'evil\.\w+' is none of this project"):
        check_catalog({"clicks": {"type": "json.JSONDataset", "validator": validator}})


def test_every_wrong_entry_is_named_at_once_with_what_is_allowed():
    with pytest.raises(MmctrError) as error:
        check_catalog({"a": {"type": "os.system"}, "b": {"type": "pickle.PickleDataset"}, "_c": "text"})
    assert "2 catalog entries" in str(error.value)
    assert "  - a: " in str(error.value)
    assert "  - b: " in str(error.value)
    assert "mmctr_kedro.datasets" in str(error.value)


def test_kedros_and_our_own_are_taken():
    kinds = ["MemoryDataset", "kedro.io.MemoryDataset", "json.JSONDataset", "kedro_datasets.pandas.CSVDataset"]
    check_catalog({kind: {"type": kind} for kind in [*kinds, "mmctr_kedro.datasets.npy.NpyDataset"]})


def test_a_run_refuses_a_strangers_class_before_it_is_imported(project, tmp_path):
    project.write("local/catalog.yml", f"raw_files: {{type: {evil(tmp_path)}}}\n")
    result = project.kedro("run", "--pipeline", "simulate")
    assert result.returncode != 0
    assert "raw_files: type 'evil.Evil' is no dataset of Kedro or of this project" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["catalog", "parameters", "globals", "credentials"])
@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['touch {ran}']", "!!python/name:evil.Evil ''"])
def test_yaml_that_asks_for_a_python_object_is_refused(name, tag, project, tmp_path):
    evil(tmp_path)
    project.write(f"local/{name}.yml", "a: " + tag.format(ran=tmp_path / "ran") + "\n")
    result = project.kedro("run", "--pipeline", "simulate")
    assert result.returncode != 0
    assert f"conf/local/{name}.yml cannot be read" in result.stderr
    assert "tags such as !!python/object" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("key", ["class", "()"])
def test_logging_that_asks_for_a_strangers_class_is_refused(key, project, tmp_path):
    """By Kedro itself, before anything of ours is there."""
    handlers = f"{{a: {{'{key}': {evil(tmp_path)}}}}}"
    project.write("logging.yml", f"version: 1\nhandlers: {handlers}\nroot: {{handlers: [a]}}\n")
    result = project.kedro("run", "--pipeline", "simulate")
    assert result.returncode != 0
    assert re.search("is not permitted|not allowed in logging configuration", result.stderr)
    assert not (tmp_path / "ran").exists()

"""YAML and logging in conf/ make nothing be run by a tag or a class of strangers."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from mmctr_kedro.cli import cli

PROJECT = Path(__file__).parents[2]


def evil(folder: Path) -> str:
    """A module that leaves a file behind when it is imported."""
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nclass Evil: pass\n")
    return "evil.Evil"


@pytest.mark.parametrize("name", ["catalog", "parameters", "globals", "credentials"])
@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['touch {ran}']", "!!python/name:evil.Evil ''"])
def test_yaml_that_asks_for_a_python_object_is_refused(name, tag, project, tmp_path, monkeypatch):
    evil(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    project.write(f"local/{name}.yml", "a: " + tag.format(ran=tmp_path / "ran") + "\n")
    bootstrap_project(PROJECT)  # the package is the same; conf/ is the spoilt one
    monkeypatch.chdir(project.path)
    result = CliRunner().invoke(cli, ["run", "--pipelines", "simulate"])
    assert result.exit_code == 1
    assert f"conf/local/{name}.yml cannot be read" in result.output
    assert "tags such as !!python/object" in result.output
    assert "Traceback" not in result.output
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

"""``kedro update`` on the smoke world: one run of Task 1 & 2, and what the next ones do."""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines, settings
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

import mmctr_kedro
from mmctr_kedro.cli import update
from mmctr_kedro.running.planner.recorder import Recorder

PROJECT = Path(__file__).parents[3]
PACKAGE = Path(mmctr_kedro.__file__).parent
PIPELINE = "task1_and_2"
QUICK = ",".join(
    [
        "embedding.variant=sequence",
        "embedding.sequence.epochs=1",
        "embedding.text.name=item_feature",
        "embedding.image.name=item_feature",
    ]
)


# The planner's hooks are next; credentials are blotted out of whatever is logged.
NOT_A_NODES = (str(PACKAGE / "running" / "planner"), str(PACKAGE / "running" / "credentials.py"))


class Witness:
    """Notes every file of the project that a function of runs while a node runs."""

    def __init__(self) -> None:
        self.ran: dict[str, set[str]] = {}

    @hook_impl
    def before_node_run(self, node) -> None:
        found = self.ran.setdefault(node.name, set())

        def note(frame, event, _) -> None:
            code = frame.f_code
            file = code.co_filename
            ours = file.startswith(str(PACKAGE)) and not file.startswith(NOT_A_NODES)
            if event == "call" and ours and code.co_flags & inspect.CO_OPTIMIZED:  # no class or module being made
                found.add(os.path.relpath(file, PACKAGE))

        sys.setprofile(note)

    @hook_impl
    def after_node_run(self) -> None:
        sys.setprofile(None)


class Made(NamedTuple):
    root: Path
    ran: dict[str, set[str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    """The outputs of one ``kedro run``, and what ran in each of its nodes."""
    bootstrap_project(PROJECT)
    root, witness = tmp_path_factory.mktemp("update"), Witness()
    quick = {"text": {"name": "item_feature"}, "image": {"name": "item_feature"}, "variant": "sequence"}
    given = {"root": str(root), "embedding": quick | {"sequence": {"epochs": 1}}}
    with KedroSession.create(PROJECT, env="smoke", runtime_params=given) as session:
        session._hook_manager.register(witness)
        session.run(pipeline_names=[PIPELINE])
    return Made(root, witness.ran)


def command(made: Made, *options: str, given: str = "") -> str:
    """What ``kedro update`` prints to stdout."""
    params = f"root={made.root},{QUICK}{given}"
    arguments = ["--env", "smoke", "--pipeline", PIPELINE, "--params", params, *options]
    before = os.getcwd()
    os.chdir(PROJECT)
    try:
        result = CliRunner().invoke(update, arguments, catch_exceptions=False)
    finally:
        os.chdir(before)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_file_that_a_node_ran_code_of_is_in_its_fingerprint(made):
    """Nothing that a node runs can change unseen: the source is read, here it is watched."""
    planner = next(hooks.planner for hooks in settings.HOOKS if isinstance(hooks, Recorder))
    for node in pipelines[PIPELINE].nodes:
        assert made.ran[node.name]
        assert made.ran[node.name] <= set(planner.state(node).parts["source"]), node.name


def test_an_update_after_a_run_runs_nothing_and_says_what_there_is(made, caplog):
    caplog.set_level("INFO", logger="mmctr_kedro")
    said, nodes = command(made), len(pipelines[PIPELINE].nodes)
    assert caplog.messages == [
        f"{nodes} nodes, {nodes} run before",
        f"{nodes} of {nodes} nodes are up to date and were kept",
    ]
    assert said.count("valid AUC") == 1
    assert str(made.root / "08_reporting" / PIPELINE / "submission.zip") in said


def test_a_dry_run_says_what_would_run_and_runs_nothing(made):
    before = {path: path.stat().st_mtime_ns for path in made.root.rglob("*") if ".plan" not in path.parts}
    said = command(made, "--dry-run", given=",ctr.learning_rate=0.01").splitlines()
    assert "run   task1_and_2.train: params:task1_and_2.ctr.learning_rate 0.003 -> 0.01" in said
    assert "maybe task1_and_2.predict: if task1_and_2.ctr_model changes" in said
    assert "keep  embedding.fuse" in said
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_another_setting_runs_the_training_and_what_follows_and_keeps_data_and_embedding(made, caplog):
    caplog.set_level("INFO", logger="mmctr_kedro")
    command(made, given=",ctr.learning_rate=0.01")
    ran = {message.split()[1].rstrip(":") for message in caplog.messages if message.startswith("run ")}
    assert ran == {node.name for node in pipelines[PIPELINE].nodes if node.name.startswith(PIPELINE)}


def test_another_world_in_the_same_place_is_noticed(made):
    """As left by ``kedro run --pipeline simulate`` with other settings."""
    table = next(made.root.rglob("valid.parquet"))
    before = table.read_bytes()
    table.write_bytes(before + b" ")
    said = command(made, "--dry-run").splitlines()
    table.write_bytes(before)
    assert "run   data_processing.prepare_raw_files: challenge_folder changed" in said

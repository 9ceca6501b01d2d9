"""What settings and the repository show."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mmctr_kedro.common.params import TASKS
from mmctr_kedro.data.settings import ProcessingParams
from mmctr_kedro.fusion.settings import EmbeddingParams
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams
from mmctr_kedro.running.project import Project
from mmctr_kedro.submission.rules import RULES, committed, fixed_model, listing, separate_embedding
from tests.submission.rules.conftest import git

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tree(repository, tmp_path) -> Project:
    """A copy of the clean commit, to be changed."""
    return Project(shutil.copytree(repository, tmp_path / "tree"))


@pytest.fixture
def trained(finished):
    """Task 1 as if it had been trained with these settings."""

    def with_settings(**changes):
        of = finished["task1"]
        ctr = FixedCtrParams(**changes).as_ctr().model_dump(mode="json")
        return replace(of, model=TrainedModel({**of.model.settings, "ctr": ctr}, of.model.weights))

    return with_settings


def test_the_five_values_of_task_1_may_be_tuned(trained):
    tuned = {"embedding_regularizer": 1e-3, "net_regularizer": 1e-4, "net_dropout": 0.5, "learning_rate": 0.1}
    assert fixed_model(trained(**tuned, batch_size=64, seed=5))[0] == []


@pytest.mark.parametrize(
    ("change", "evidence"),
    [
        ({"epochs": 3}, "epochs is 3, not 100"),
        ({"patience": 4}, "patience is 4, not 3"),
        ({"precision": "bf16"}, "precision is bf16, not fp32"),
    ],
)
def test_what_task_1_fixes_may_not_be_tuned(change, evidence, trained):
    assert fixed_model(trained(**change))[0] == [evidence]


def test_task_1_fixes_the_length_of_histories_and_task_2_does_not(finished, broken):
    short = ProcessingParams(max_history=16)
    assert list(broken("task1", replace(finished["task1"], processing=short)).values()) == [
        "histories end at 16 clicks, not 64"
    ]
    assert broken("task2", replace(finished["task2"], processing=short)) == {}


def test_task_2_may_choose_its_own_model_and_training():
    """No rule about it: whatever its settings can say is one network of models/."""
    assert CtrParams(model={"name": "qin"}, epochs=2, patience=1)


def test_an_embedding_of_ours_has_128_numbers(finished):
    narrow = replace(finished["task1"], item_embedding=finished["task1"].item_embedding[:, :64])
    assert separate_embedding(narrow)[0] == ["the embedding is 64 wide, not 128"]


def test_the_embedding_learns_from_train_alone(finished, broken):
    published = EmbeddingParams(histories="published")
    (found,) = broken("task1_and_2", replace(finished["task1_and_2"], embedding=published)).values()
    assert found == "embedding.histories is published"
    assert broken("task2", replace(finished["task2"], embedding=published)) == {}


@pytest.mark.parametrize("task", TASKS)
def test_a_changed_file_is_named_and_so_is_a_new_one(task, tree, finished, broken):
    (tree.path / "code.py").write_text("2\n")
    (tree.path / "new file.py").write_text("")
    (found,) = broken(task, replace(finished[task], project=tree)).values()
    assert "not in it: code.py, new file.py" in found


def test_data_on_another_disk_is_no_change_of_the_code(tree, tmp_path):
    """data/ as a link matches no pattern for folders in .gitignore, and what the commit has in it is gone."""
    (tree.path / "data").mkdir()
    (tree.path / "data" / ".gitkeep").touch()
    git(tree.path, "add", "-A")
    git(tree.path, "commit", "-qm", "two")
    shutil.rmtree(tree.path / "data")
    (tree.path / "data").symlink_to(tmp_path)
    assert tree.changes == []


def test_nobody_is_told_to_commit_a_file_of_secrets(tree):
    shutil.copy(ROOT / ".gitignore", tree.path)
    (tree.path / ".env").write_text("WORD=x\n")
    (tree.path / "notes.txt").touch()
    assert tree.changes == [".gitignore", "notes.txt"]
    (remedy,) = (rule.remedy for rule, test in RULES if test is committed)
    assert "git commit what is code; secrets and the rest into .gitignore" in remedy


def test_a_folder_without_git_is_no_commit(tmp_path, finished):
    (found,) = committed(replace(finished["task2"], project=Project(tmp_path)))[0]
    assert found == "commit unknown: no git repository of this project here"


def test_a_folder_inside_another_repository_is_no_commit_of_this_project(tree):
    inside = tree.path / "inside"
    inside.mkdir()
    assert Project(inside).commit is None


def test_a_commit_without_the_code_that_runs_is_no_commit_of_this_project(tree):
    """As of a folder that mmctr_kedro new made: its user's commit says nothing about the installed package."""
    assert tree.commit is not None
    (tree.path / "src" / "mmctr_kedro" / "cli.py").unlink()
    assert tree.commit is None
    shutil.rmtree(tree.path / "src")
    assert tree.commit is None
    assert "src/mmctr_kedro/cli.py" in tree.code


def test_the_sha256_of_the_code_is_that_of_what_runs_and_of_the_catalog(tree):
    """Not of what git knows: two edits of one file are two codes, and a commit of an edit is the same code."""
    found = [tree.sha256]
    for edit in ("1\n", "2\n"):
        (tree.path / "src" / "mmctr_kedro" / "cli.py").write_text(edit)
        found.append(tree.sha256)
    git(tree.path, "commit", "-qam", "two")
    assert tree.sha256 == found[-1]
    (tree.path / "code.py").write_text("2\n")
    assert tree.sha256 == found[-1]
    (tree.path / "conf" / "base").mkdir(parents=True)
    (tree.path / "conf" / "base" / "catalog.yml").write_text("a: 1\n")
    assert len({*found, tree.sha256}) == 4
    assert tree.sha256 in tree.fingerprint()


def test_without_a_lock_of_its_own_a_folder_has_the_installed_packages(tree):
    (tree.path / "requirements.lock").unlink()
    assert tree.lock == (ROOT / "requirements.lock").read_bytes()


def test_the_listing_names_rule_source_value_and_remedy_of_a_broken_rule():
    held = {"rule": "Left is left.", "source": "page 1", "held": True, "evidence": "it was", "remedy": ""}
    other = {"rule": "No twos.", "source": "page 2", "held": False, "evidence": "a 2", "remedy": "take it out"}
    said = listing("task1.rules", [held, other])
    assert said.startswith("task1.rules: 1 of 2 rules held\n  held    Left is left.\n")
    assert "  BROKEN  No twos.\n" in said
    for what, value in (("source", "page 2"), ("evidence", "a 2"), ("remedy", "take it out")):
        assert f"          {what:<9} {value}" in said


def test_the_source_archive_has_the_bytes_of_the_commit_whatever_the_tree_holds(tree):
    before = tree.archive()
    (tree.path / "code.py").write_text("2\n")
    assert tree.archive() == before
    assert b"code.py" in before
    git(tree.path, "commit", "-qam", "two")
    assert tree.archive() != before


def test_versions_are_those_of_the_locked_distributions_that_are_installed(tree):
    assert set(tree.versions()) == {"python", "numpy"}

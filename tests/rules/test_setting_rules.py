"""What settings, the graph and the repository show before any work."""

import subprocess
from pathlib import Path

import pytest

from mmctr_kedro.common.params import (
    TASKS,
    CtrParams,
    EmbeddingParams,
    FixedCtrParams,
    ProcessingParams,
    SubmissionParams,
)
from mmctr_kedro.running.project import Project
from mmctr_kedro.submission.rules import refusal
from mmctr_kedro.submission.rules.settings import judge_settings


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path) -> Project:
    (tmp_path / "code.py").write_text("1\n")
    (tmp_path / "requirements.lock").write_text("numpy==0.1\nnobody-has-this==1\n# torch==9\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "one")
    return Project(tmp_path)


def broken(task: str, project: Project, **changes) -> list[str]:
    given = {
        "ctr": FixedCtrParams() if task == "task1" else CtrParams(),
        "processing": ProcessingParams(),
        "embedding": EmbeddingParams(),
        "submission": SubmissionParams(),
        **changes,
    }
    return [verdict.evidence for verdict in judge_settings(task, **given, project=project) if not verdict.held]


@pytest.mark.parametrize("task", TASKS)
def test_the_organisers_settings_on_a_clean_commit_break_no_rule(task, repository):
    assert broken(task, repository) == []


def test_the_five_values_of_task_1_may_be_tuned(repository):
    tuned = FixedCtrParams(
        embedding_regularizer=1e-3, net_regularizer=1e-4, net_dropout=0.5, learning_rate=0.1, batch_size=64, seed=5
    )
    assert broken("task1", repository, ctr=tuned) == []


@pytest.mark.parametrize(
    ("change", "evidence"),
    [
        ({"epochs": 3}, "epochs is 3, not 100"),
        ({"patience": 4}, "patience is 4, not 3"),
        ({"precision": "bf16"}, "precision is bf16, not fp32"),
    ],
)
def test_what_task_1_fixes_may_not_be_tuned(change, evidence, repository):
    assert broken("task1", repository, ctr=FixedCtrParams(**change)) == [evidence]


def test_task_1_fixes_the_length_of_histories_and_task_2_does_not(repository):
    short = ProcessingParams(max_history=16)
    assert broken("task1", repository, processing=short) == ["histories end at 16 clicks, not 64"]
    assert broken("task2", repository, processing=short) == []


def test_task_2_may_choose_its_own_model_and_training(repository):
    assert broken("task2", repository, ctr=CtrParams(model={"name": "qin"}, epochs=2, patience=1)) == []


@pytest.mark.parametrize("task", TASKS)
def test_likes_and_views_of_history_items_are_an_added_feature(task, repository):
    assert broken(task, repository, processing=ProcessingParams(history_levels=True)) == [
        "processing.history_levels is true"
    ]


@pytest.mark.parametrize(("task", "broke"), [("task1", True), ("task2", False), ("task1_and_2", True)])
def test_an_embedding_of_ours_has_128_numbers(task, broke, repository):
    assert bool(broken(task, repository, embedding=EmbeddingParams(width=64))) is broke


def test_the_embedding_learns_from_train_alone(repository):
    published = EmbeddingParams(histories="published")
    assert broken("task1_and_2", repository, embedding=published) == ["embedding.histories is published"]
    assert broken("task2", repository, embedding=published) == []


def test_a_changed_file_is_named_and_so_is_a_new_one(repository):
    (repository.path / "code.py").write_text("2\n")
    (repository.path / "new file.py").write_text("")
    (found,) = broken("task2", repository)
    assert "not in it: code.py, new file.py" in found


def test_a_folder_without_git_is_no_commit(tmp_path):
    (found,) = broken("task2", Project(tmp_path))
    assert "commit unknown: no git repository of this project here" in found


def test_a_folder_inside_another_repository_is_no_commit_of_this_project(repository):
    inside = repository.path / "inside"
    inside.mkdir()
    assert Project(inside).commit is None


def test_research_is_never_submittable(repository):
    assert broken("task2", repository, submission=SubmissionParams(rules="research")) == [
        "submission.rules is research"
    ]


def test_a_refusal_names_rule_source_value_and_remedy(repository):
    (repository.path / "code.py").write_text("2\n")
    verdicts = judge_settings(
        "task1", FixedCtrParams(epochs=3), ProcessingParams(), EmbeddingParams(), SubmissionParams(), repository
    )
    said = refusal("task1.submission", [verdict.as_json() for verdict in verdicts])
    assert said.startswith("task1.submission would break 2 rules of the challenge:")
    for part in ("organisers' page, Task 1", "epochs is 3, not 100", "task1.ctr.epochs=100", "not in it: code.py"):
        assert part in said
    assert said.endswith("--params submission.rules=research")


def test_the_source_archive_has_the_bytes_of_the_commit_whatever_the_tree_holds(repository):
    before = repository.archive()
    (repository.path / "code.py").write_text("2\n")
    assert repository.archive() == before
    assert b"code.py" in before


def test_versions_are_those_of_the_locked_distributions_that_are_installed(repository):
    assert set(repository.versions()) == {"python", "numpy"}

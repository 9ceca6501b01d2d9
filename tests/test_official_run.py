"""What a participant does: official runs from a clean commit, and a stranger who verifies them."""

import io
import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DatasetError

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.datasets.zips import BundleDataset
from mmctr_kedro.models.model_file import load_model
from tests.conftest import copy_project

PROJECT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow
OFFICIAL = {"task1": {"ctr": {"epochs": 100}}}


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def run(project: Path, pipeline: str, options: dict | None = None, **given) -> None:
    bootstrap_project(PROJECT)  # the package is the same; its settings must not come from a copy
    with KedroSession.create(project, env="smoke", runtime_params=given) as session:
        session.run(pipeline_names=[pipeline], **(options or {}))


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A clean clone of this project as it is now, whatever git knows of it."""
    folder = copy_project(tmp_path_factory.mktemp("clone"))
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "as it is")
    return folder


@pytest.fixture(scope="module")
def official(project) -> Path:
    """The outputs of an official run of Task 1, whose rules are the strictest."""
    run(project, "task1", **OFFICIAL)
    return project / "data" / "smoke" / "08_reporting" / "task1"


def test_an_official_run_ends_with_every_rule_held_a_clean_zip_and_a_bundle(official):
    rules = json.loads((official / "rules.json").read_text())
    assert [entry["evidence"] for entry in rules if not entry["held"]] == []
    with zipfile.ZipFile(official / "submission.zip") as archive:
        assert archive.namelist() == ["prediction.csv"]
    manifest = BundleDataset(filepath=str(official / "bundle.zip")).load().manifest
    assert manifest["not_submittable"] == manifest["changes"] == []
    assert len(manifest["commit"]) == 40


def test_the_bundle_has_the_code_of_the_commit_the_lock_and_the_commands(official, project):
    files = BundleDataset(filepath=str(official / "bundle.zip")).load().files
    assert {"source.tar", "requirements.lock", "conf/parameters.yml", "REPRODUCE.md", "submission.zip"} <= set(files)
    assert b"src/mmctr_kedro/models/din.py" in files["source.tar"]
    assert files["requirements.lock"] == (project / "requirements.lock").read_bytes()
    assert "verify.mode=full" in files["REPRODUCE.md"].decode()
    assert files["submission.zip"] == (official / "submission.zip").read_bytes()


def test_the_settings_in_a_bundle_are_an_environment_that_makes_the_same_submission(official, project, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(project, other, ignore=shutil.ignore_patterns("data", ".git"))
    files = BundleDataset(filepath=str(official / "bundle.zip")).load().files
    (other / "conf" / "again").mkdir()
    for name in ("parameters.yml", "globals.yml"):
        (other / "conf" / "again" / name).write_bytes(files[f"conf/{name}"])
    bootstrap_project(PROJECT)
    with KedroSession.create(other, env="again") as session:
        session.run(pipeline_names=["task1"])
    made = other / "data" / "reproduced"
    with zipfile.ZipFile(made / "08_reporting" / "task1" / "submission.zip") as archive:
        assert b"no git repository of this project here" in archive.read("NOT_SUBMITTABLE.txt")
    assert (made / "06_models" / "task1" / "ctr_model.safetensors").read_bytes() == files["task1/ctr_model.safetensors"]


def test_the_model_to_put_to_use_is_loaded_from_a_bundle(official):
    model = load_model(official / "bundle.zip", "task1/leak_free_model.safetensors")
    assert model.settings["leak_free"]
    with pytest.raises(MmctrError, match="has no task2/x; it has task1/ctr_model"):
        load_model(official / "bundle.zip", "task2/x")


@pytest.mark.parametrize("mode", ["quick", "full"])
def test_a_stranger_verifies_the_bundle_alone(mode, official, project, tmp_path, capsys):
    bundle = shutil.copy(official / "bundle.zip", tmp_path)
    run(project, "verify", root=str(tmp_path / "data"), verify={"bundle": bundle, "mode": mode})
    said = capsys.readouterr().out
    assert f"The bundle holds ({mode})" in said
    assert "test rows predicted again, all equal" in said
    assert "differs" not in said
    if mode == "full":
        assert "weights equal, byte for byte" in said
        assert "item embedding: equal, byte for byte" in said
    found = json.loads((tmp_path / "data" / "09_verification" / "verification.json").read_text())
    assert found["passed"] is True


def rebundled(official: Path, place: Path, change) -> str:
    """The bundle with its contents changed by a forger who mends the manifest's sums too."""
    import hashlib

    dataset = BundleDataset(filepath=str(official / "bundle.zip"))
    bundle = dataset.load()
    change(bundle)
    bundle.manifest["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in bundle.files.items()}
    forged = BundleDataset(filepath=str(place / "forged.zip"))
    forged.save(bundle)
    return str(place / "forged.zip")


def other_submission(bundle) -> None:
    from mmctr_kedro.data.challenge import Submission
    from mmctr_kedro.submission.submission_zip import read_submission, submission_bytes

    table = read_submission(io.BytesIO(bundle.files["submission.zip"])).table
    bundle.files["submission.zip"] = submission_bytes(Submission(table.assign(Task1=table["Task1"] / 2)))


def other_data(bundle) -> None:
    bundle.manifest["settings"]["simulate"]["seed"] = 1


def better_auc(bundle) -> None:
    bundle.manifest["metrics"]["task1"]["auc"] += 0.01


def no_model(bundle) -> None:
    bundle.files["task1/ctr_model.safetensors"] = b"and nothing else"


def pickled_embedding(bundle) -> None:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, np.array([{}]), allow_pickle=True)
    bundle.files["item_embedding.npy"] = buffer.getvalue()


@pytest.mark.parametrize(
    ("forge", "said"),
    [(no_model, "ctr_model.safetensors is not a CTR model"), (pickled_embedding, "is no array")],
)
def test_a_bundle_whose_members_are_not_what_they_are_named_is_refused(forge, said, official, project, tmp_path):
    with pytest.raises(MmctrError, match=said):
        run(project, "verify", root=str(tmp_path / "data"), verify={"bundle": rebundled(official, tmp_path, forge)})


@pytest.mark.parametrize(
    ("forge", "found"),
    [
        (other_submission, "FAIL  task1 inference"),
        (other_data, "FAIL  raw data: "),
        (better_auc, "FAIL  task1 valid AUC"),
    ],
)
def test_a_bundle_that_does_not_hold_fails_and_says_where(forge, found, official, project, tmp_path):
    bundle = rebundled(official, tmp_path, forge)
    with pytest.raises(MmctrError) as error:
        run(project, "verify", root=str(tmp_path / "data"), verify={"bundle": bundle})
    assert found in str(error.value)
    assert json.loads((tmp_path / "data" / "09_verification" / "verification.json").read_text())["passed"] is False


def test_other_versions_lock_and_code_are_told(official, project, tmp_path, capsys):
    def older(bundle) -> None:
        bundle.manifest["versions"]["torch"] = "1.0"
        bundle.files["requirements.lock"] += b"# other\n"

    (project / "src" / "mmctr_kedro" / "data" / "clicks.py").write_text("# changed\n")
    try:
        bundle = rebundled(official, tmp_path, older)
        run(project, "verify", root=str(tmp_path / "data"), verify={"bundle": bundle})
    finally:
        git(project, "checkout", "-q", ".")
    said = capsys.readouterr().out
    assert "differs: versions: torch 1.0 -> " in said
    assert "differs: lock: another requirements.lock" in said
    assert "differs: code" in said
    assert "src/mmctr_kedro/data/clicks.py" in said


@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: b"", lambda data: b"PK" + data[2:500]])
def test_a_damaged_bundle_is_refused(damage, official, tmp_path):
    path = tmp_path / "bundle.zip"
    path.write_bytes(damage((official / "bundle.zip").read_bytes()))
    with pytest.raises(DatasetError, match="is no bundle of this project, or a damaged one"):
        BundleDataset(filepath=str(path)).load()


def test_a_bundle_with_a_member_changed_is_refused(official, tmp_path):
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(official / "bundle.zip") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b" " if name == "REPRODUCE.md" else b""))
    with pytest.raises(DatasetError, match=r"REPRODUCE.md missing, unknown or not as the manifest says"):
        BundleDataset(filepath=str(path)).load()


def test_a_bundle_that_is_not_there_is_a_message(tmp_path):
    with pytest.raises(DatasetError, match=r"There is no bundle .*none.zip. Name one by --params verify.bundle="):
        BundleDataset(filepath=str(tmp_path / "none.zip")).load()


@pytest.fixture
def root(official, tmp_path) -> Path:
    """A copy of the official run's data, to be spoilt."""
    return shutil.copytree(official.parents[1], tmp_path / "data")


ALONE = {"namespaces": ["task1"]}


def test_a_finished_run_is_submitted_again_without_any_training(root, project, official):
    (root / "08_reporting" / "task1" / "submission.zip").unlink()
    run(project, "submission", ALONE, root=str(root), **OFFICIAL)
    made = root / "08_reporting" / "task1" / "submission.zip"
    assert made.read_bytes() == (official / "submission.zip").read_bytes()


def marks(folder: Path) -> str:
    with zipfile.ZipFile(folder / "submission.zip") as archive:
        return archive.read("NOT_SUBMITTABLE.txt").decode()


def retrain(project: Path, root: Path) -> None:
    run(project, "ctr", ALONE, root=str(root), task1={"ctr": {"epochs": 1}})


def average(project: Path, root: Path) -> None:
    import pandas as pd

    from mmctr_kedro.datasets.sealed import ParquetDataset

    dataset = ParquetDataset(filepath=str(root / "07_model_output" / "task1" / "predictions.parquet"))
    old = dataset.load()
    dataset.save(pd.DataFrame(old.assign(pctr=(old["pctr"] + old["pctr"] ** 2) / 2)))


def another_embedding(project: Path, root: Path) -> None:
    from mmctr_kedro.datasets.arrays import NpyDataset

    dataset = NpyDataset(filepath=str(next(root.glob("04_feature/embedding/*/item_embedding.npy"))))
    dataset.save(dataset.load() * 2)


def forged_rules(project: Path, root: Path) -> None:
    from mmctr_kedro.datasets.sealed import JSONDataset

    retrain(project, root)
    JSONDataset(filepath=str(root / "08_reporting" / "task1" / "rules.json")).save([])


def changed_tree(project: Path, root: Path) -> None:
    (project / "README.md").write_text("changed\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (retrain, "task1: epochs is 1, not 100"),
        (average, "predicted again one differs by"),
        (another_embedding, "the model was trained on another item_embedding than this"),
        (forged_rules, "task1: epochs is 1, not 100"),
        (changed_tree, "not in it: README.md"),
    ],
)
def test_results_of_other_settings_hands_or_code_are_marked(spoil, said, root, project):
    try:
        spoil(project, root)
        run(project, "submission", ALONE, root=str(root), **OFFICIAL)
    finally:
        git(project, "checkout", "-q", ".")
    assert said in marks(root / "08_reporting" / "task1")
    manifest = BundleDataset(filepath=str(root / "08_reporting" / "task1" / "bundle.zip")).load().manifest
    assert said in str(manifest["not_submittable"])


def test_a_run_with_an_added_feature_trains_and_is_marked(project, tmp_path):
    run(project, "task2", root=str(tmp_path), processing={"history_levels": True})
    rules = json.loads((tmp_path / "08_reporting" / "task2" / "rules.json").read_text())
    broken = {entry["evidence"] for entry in rules if not entry["held"]}
    assert broken == {"item_tags has 7 columns, not 5"}
    assert "item_tags has 7 columns, not 5" in marks(tmp_path / "08_reporting" / "task2")


def test_the_pipeline_rules_prints_every_rule_with_source_and_evidence(official, project, capsys):
    run(project, "rules", {"namespaces": ["task1"]})
    said = capsys.readouterr().out
    assert re.search(r"task1.rules: (\d+) of \1 rules held", said)
    assert said.count("\n  held    ") == said.count("          source    ") == said.count("          evidence  ") > 6
    assert "remedy" not in said
    assert "          source    organisers' page, Task 1: a fixed CTR model, five values may be tuned\n" in said
    assert "          evidence  fixed DIN with embedding_regularizer" in said

"""The study runs from choices to page on a tiny world, goes on where it was stopped, and scores test once."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.study import data, page, scoring
from benchmarks.study import train as training
from benchmarks.study.__main__ import PAGE, RESULTS, main, prepare
from benchmarks.study.plan import ROOT, Budget, Choices, plan, read_choices
from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.processing.raw_files import describe
from mmctr_kedro.data.settings import InteractionLogParams, ProcessingParams, SourceParams
from mmctr_kedro.datasets.arrays import ClicksDataset
from mmctr_kedro.pipelines.data_processing.nodes import prepare_raw_files, process_raw_files
from mmctr_kedro.training.loop import Training
from mmctr_kedro.worlds.settings import WorldParams

EVIDENCE = {"compare": False, "heads": 2, "codes": 4, "width": 8, "tag_width": 4, "head_units": [8]}
CHOICES = {
    "ours": "evidence",
    "seeds": [1],
    "budget": {"epochs": 2, "patience": 1, "cpu_seconds": 60},
    "data": {
        "tiny": {
            "title": "A tiny world",
            "env": "smoke",
            "root": "data/nowhere",
            "build": "data_processing",
            "embedding": "provided",
            "embeddings": {"provided": "03_primary/provided_item_embedding.npy"},
        }
    },
    "models": {
        "qin": {"all": {"batch_size": 64, "model": {"width": 4, "layers": 1}}},
        "evidence": {"all": {"batch_size": 64, "model": EVIDENCE}},
    },
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A tiny world, as data_processing leaves it."""
    root = tmp_path_factory.mktemp("tiny")
    world = WorldParams(items=60, train_rows=400, valid_rows=80, test_rows=81, covers=False)
    folder = RawFolder(root / "01_raw" / "challenge")
    source = SourceParams(), world, InteractionLogParams(), folder, RawFolder(root / "log")
    raw_files, truth = prepare_raw_files(*source)
    content, tags, embedding, *splits, _ = process_raw_files(ProcessingParams(), raw_files, folder)
    (root / "02_intermediate").mkdir()
    truth.to_parquet(root / "02_intermediate" / "truth.parquet")
    for split, clicks in zip(data.SPLITS, splits, strict=True):
        ClicksDataset(filepath=str(root / "03_primary" / f"clicks_{split}")).save(clicks)
    content.to_parquet(root / "03_primary" / "item_content.parquet")
    np.save(root / "03_primary" / "item_tags.npy", tags)
    np.save(root / "03_primary" / "provided_item_embedding.npy", embedding)
    return root


@pytest.fixture
def choices() -> Choices:
    return Choices(**CHOICES)


def train_here(study, runs) -> list[dict]:
    """Train in this process: quicker than one each."""
    done = []
    for run in runs:
        tables = data.load(study.roots[run.data], study.choices.embedding_file(run.data))
        done.append(training.train(run, study.keys[run.name], tables, study.out, threads=1))
    return done


# --- from choices to page --------------------------------------------------------------------------------


def test_the_list_makes_no_data_and_imports_no_torch(tmp_path):
    (tmp_path / "study.yml").write_text(yaml.safe_dump(CHOICES))
    code = (
        "import sys; from benchmarks.study.__main__ import main; "
        f"main(['--list', '--choices', {str(tmp_path / 'study.yml')!r}, '--root', {f'tiny={tmp_path}'!r}]); "
        "sys.exit(str({'torch', 'pandas', 'kedro'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "missing   tiny.provided.model.evidence.1" in done.stdout
    assert done.stderr == "set()\n"
    assert [path.name for path in tmp_path.iterdir()] == ["study.yml"]


def test_the_whole_study_runs_and_its_second_start_has_nothing_to_do(root, tmp_path, capsys):
    (tmp_path / "study.yml").write_text(yaml.safe_dump(CHOICES, sort_keys=False))
    files = {name: tmp_path / name for name in ("study.yml", "runs", "results.json", "results.md")}
    flags = ("--choices", "--out", "--results", "--page-file")
    arguments = [text for pair in zip(flags, map(str, files.values()), strict=True) for text in pair]
    arguments += ["--root", f"tiny={root}", "--only", "*.model.*"]
    assert main(arguments) == 0
    first = json.loads(files["results.json"].read_text())
    assert [run["label"] for run in first["runs"]] == ["qin", "evidence"]
    assert all(0 < run["test"]["auc"] < 1 for run in first["runs"])
    assert [(c["ours"], c["other"], c["users"], c["rows"]) for c in first["comparisons"]] == [
        ("evidence", "qin", 21, 81)
    ]
    assert files["results.md"].read_text() == page.render(first)
    assert "/" + "tmp" not in files["results.json"].read_text()

    capsys.readouterr()
    written = {path: path.stat().st_mtime_ns for path in files["runs"].iterdir()}
    assert main(arguments) == 0
    assert "0 to do" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in files["runs"].iterdir()} == written


def test_the_committed_page_is_made_from_the_committed_results():
    assert PAGE.read_text() == page.render(json.loads(RESULTS.read_text())), "make study ARGS=--page"


def test_the_committed_results_are_written_as_the_study_writes_them():
    assert RESULTS.read_text() == page.dump(json.loads(RESULTS.read_text()))


# --- choices ---------------------------------------------------------------------------------------------


def test_every_model_of_the_committed_choices_trains_under_the_one_budget():
    choices = read_choices()
    runs = [run for run in plan(choices) if run.kind == "model"]
    seeds = sum(choices.fewer_seeds.get(model, len(choices.seeds)) for model in choices.models)
    assert len(runs) == len(choices.data) * seeds
    assert {run.settings["patience"] for run in runs} == {choices.budget.patience}
    assert {run.settings["epochs"] for run in runs} == {choices.budget.epochs}


@pytest.mark.parametrize("setting", ["epochs", "patience", "seed", "evaluate_every"])
def test_a_model_cannot_set_what_all_share(choices, setting):
    models = {**choices.models, "qin": {"all": {setting: 3}}}
    with pytest.raises(MmctrError, match=f"qin sets {setting}"):
        plan(choices.model_copy(update={"models": models}))


def test_some_models_have_fewer_seeds_and_some_data_are_trained_on_without_their_leak(choices):
    data = {"tiny": choices.data["tiny"].model_copy(update={"leak_free": 1})}
    more = choices.model_copy(update={"seeds": (1, 2), "fewer_seeds": {"qin": 1}, "data": data})
    names = [(run.label, run.seed, run.kind) for run in plan(more)]
    assert names == [
        ("qin", 1, "model"),
        ("qin", 1, "leak_free"),
        ("evidence", 1, "model"),
        ("evidence", 1, "leak_free"),
        ("evidence", 2, "model"),
    ]
    with pytest.raises(MmctrError, match="fewer_seeds has"):
        plan(more.model_copy(update={"fewer_seeds": {"quin": 1}}))


def test_rows_without_the_leak_carry_their_own_items_levels(root, choices):
    file = choices.data["tiny"].embeddings["provided"]
    leaky, left = (data.load(root, file, kind).train for kind in ("model", "leak_free"))
    clicked = leaky.label == 1
    assert np.array_equal(leaky.likes_level[clicked], left.likes_level[clicked])
    assert not np.array_equal(leaky.likes_level, left.likes_level)
    levels = {}
    for item, level in zip(left.item.tolist(), left.likes_level.tolist(), strict=True):
        assert levels.setdefault(item, level) == level


def test_pieces_that_earn_their_place_are_recorded_and_the_kept_model_predicts(root, choices, tmp_path):
    models = {"evidence": {"all": {"batch_size": 64, "model": {**EVIDENCE, "compare": True}}}}
    study = prepare(choices.model_copy(update={"models": models}), {"tiny": root}, tmp_path)
    (record,) = train_here(study, study.runs)
    assert len(record["compared"]) == 5
    tables = data.load(root, choices.embedding_file("tiny"))
    pctr = scoring.predict_test(study.runs[0], record, tables, study.out, 1)
    assert len(pctr) == 81


# --- going on --------------------------------------------------------------------------------------------


def test_a_changed_setting_repeats_only_the_runs_it_concerns(root, choices, tmp_path):
    study = prepare(choices, {"tiny": root}, tmp_path)
    train_here(study, study.missing())
    assert not prepare(choices, {"tiny": root}, tmp_path).missing()
    models = {**choices.models, "qin": {"all": {**choices.models["qin"]["all"], "learning_rate": 0.01}}}
    changed = prepare(choices.model_copy(update={"models": models}), {"tiny": root}, tmp_path)
    assert [run.label for run in changed.missing()] == ["qin"]


def test_other_data_repeats_every_run(root, choices, tmp_path):
    study = prepare(choices, {"tiny": root}, tmp_path)
    train_here(study, study.missing())
    for run in study.runs:
        study.keys[run.name] = {**study.keys[run.name], "data": "other"}
    assert len(study.missing()) == 2


def test_a_killed_training_goes_on_and_ends_the_same(root, choices, tmp_path, monkeypatch):
    whole, killed = (prepare(choices, {"tiny": root}, tmp_path / name) for name in ("whole", "killed"))
    run = next(run for run in whole.runs if run.label == "evidence")
    train_here(whole, [run])

    evaluate = Training.evaluate
    epochs = []

    def stop_in_the_second(self, epoch):
        epochs.append(epoch)
        if epochs == [1, 2]:
            raise KeyboardInterrupt
        evaluate(self, epoch)

    monkeypatch.setattr(Training, "evaluate", stop_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        train_here(killed, [run])
    assert killed.record(run) is None
    train_here(killed, [run])
    assert epochs == [1, 2, 2]  # the first epoch was not repeated
    names = [f"{run.name}.safetensors", f"{run.name}.json"]
    assert (killed.out / names[0]).read_bytes() == (whole.out / names[0]).read_bytes()
    records = [json.loads((out / names[1]).read_text()) for out in (killed.out, whole.out)]
    assert records[0]["valid"] == records[1]["valid"]
    assert not list(killed.out.glob("*.checkpoint"))


def test_a_stop_in_the_middle_of_an_epoch_does_not_renew_the_budget(root, choices, tmp_path, monkeypatch):
    budget = Budget(epochs=50, patience=50, cpu_seconds=7)
    study = prepare(choices.model_copy(update={"budget": budget}), {"tiny": root}, tmp_path)
    step, taken = Training.step, []

    def step_of_one_second(self, epoch, rows):
        if len(taken) == 3:
            taken.append("stop")
            raise KeyboardInterrupt
        before = self.cpu_seconds
        step(self, epoch, rows)
        self.cpu_seconds = before + 1
        taken.append(self.steps.done)

    monkeypatch.setattr(Training, "step", step_of_one_second)
    monkeypatch.setattr(training, "CHECKPOINT_MINUTES", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train_here(study, [study.runs[0]])
    record = train_here(study, [study.runs[0]])[0]
    assert taken == [1, 2, 3, "stop", 4, 5, 6, 7]
    assert (record["stopped_by"], record["steps"], record["cpu_seconds"]) == ("cap", 7, 7.0)


def test_a_training_ends_at_the_cap_with_what_it_has(root, choices, tmp_path):
    budget = Budget(epochs=50, patience=50, cpu_seconds=0.05)
    study = prepare(choices.model_copy(update={"budget": budget}), {"tiny": root}, tmp_path)
    record = train_here(study, [study.runs[0]])[0]
    assert record["stopped_by"] == "cap"
    assert record["epochs"] < 50


# --- test rows -------------------------------------------------------------------------------------------


def test_the_hidden_labels_of_a_world_are_those_it_writes_where_it_writes_any(root, choices):
    valid = data.load(root, "03_primary/provided_item_embedding.npy").valid
    assert np.array_equal(data.hidden_labels(choices.data["tiny"], root, "valid"), valid.label)
    assert data.hidden_labels(choices.data["tiny"], root).sum() in (20, 21)  # one of four; the last user has one row


def test_the_labels_of_a_log_are_those_it_writes_where_it_writes_any(tmp_path, choices, monkeypatch):
    from mmctr_kedro.pipelines.import_log.nodes import import_log

    log, challenge = tmp_path / "log", tmp_path / "data" / "01_raw" / "challenge"
    log.mkdir()
    lines = [f"{user},{item},{time}" for user in (1, 2, 3) for time, item in enumerate(range(user, user + 7))]
    (log / "interactions.csv").write_text("user,item,timestamp\n" + "\n".join(lines) + "\n")
    (log / "items.csv").write_text("item,title,tags\n" + "".join(f"{item},T{item},a\n" for item in range(1, 20)))
    few = {"train_negatives_per_click": 1, "eval_negatives_per_click": 2, "eval_negatives": "uniform"}
    import_log(InteractionLogParams(**few), RawFolder(log), RawFolder(challenge))
    raw_files = describe(SourceParams(name="interaction_log"), RawFolder(challenge))
    *_, valid, test, _ = process_raw_files(ProcessingParams(), raw_files, RawFolder(challenge))
    monkeypatch.setattr(data.files, "log_folder", lambda choice: log)
    labels = {}
    for split, clicks in (("valid", valid), ("test", test)):
        ClicksDataset(filepath=str(tmp_path / "data" / "03_primary" / f"clicks_{split}")).save(clicks)
        labels[split] = data.hidden_labels(choices.data["tiny"], tmp_path / "data", split)
    assert np.array_equal(labels["valid"], valid.label)
    assert labels["test"].sum() == len(test) / 3


def test_a_frozen_run_is_not_scored_again_without_a_reason(root, choices, tmp_path):
    records = [{"name": "a", "key": {"settings": "1"}}]
    scoring.freeze(choices, records, tmp_path, None)
    scoring.freeze(choices, records, tmp_path, None)
    assert len(scoring.freezes(tmp_path)) == 1
    scoring.freeze(choices, [*records, {"name": "b", "key": {"settings": "1"}}], tmp_path, None)  # new: no second look
    with pytest.raises(MmctrError, match=r"study\.yml differ"):
        scoring.freeze(choices.model_copy(update={"ours": "qin"}), records, tmp_path, None)
    changed = [{"name": "a", "key": {"settings": "2"}}]
    with pytest.raises(MmctrError, match="scored once"):
        scoring.freeze(choices, changed, tmp_path, None)
    scoring.freeze(choices, changed, tmp_path, "a bug in qin")
    assert [entry["again"] for entry in scoring.freezes(tmp_path)] == [None, None, "a bug in qin"]

"""Reports say what the predictions of the valid rows are worth, and work without a network."""

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset
from kedro_datasets.plotly import JSONDataset as FigureDataset

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import TASKS
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.fusion.settings import EmbeddingParams
from mmctr_kedro.models import TrainedModel, build_model
from mmctr_kedro.models.model_file import model_bytes
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.pipelines.reporting import create_pipeline, create_task_pipeline
from mmctr_kedro.pipelines.reporting.nodes import evaluate, evaluate_on_our_embedding, show_example_rows
from mmctr_kedro.reports import text
from mmctr_kedro.reports.figures import NAMES, draw_figures
from mmctr_kedro.reports.report import write_report, write_task_report
from mmctr_kedro.submission.bundle import Bundle, Results
from mmctr_kedro.training.trained_model import predict

RAW_FILES = {
    "source": "simulated",
    "world_version": "1",
    "files": [{"path": "train.parquet", "bytes": 10, "rows": 4}],
}
DATA_REPORT = {"items": 3, "problems": ["<script>alert(1)</script>"], "raw_files": RAW_FILES}
DIAGNOSTICS = {
    "verdicts": [
        {"about": "train_and_valid", "alike": False, "says": "Train & valid differ."},
        {"about": "levels", "alike": None, "says": "Every row has its item's levels."},
    ],
    "splits": {
        split: {"rows": 4, "history_length": {"median": 3.0}, "rows_by_history_length": {"0": 0.0, "3-4": 1.0}}
        for split in ("train", "valid", "test")
    },
    "signals": {
        name: {"train": {"auc": 0.7, "standard_error": 0.01}, "valid": {"auc": None, "standard_error": None}}
        for name in (
            "item_click_rate", "item_train_rows", "item_history_clicks", "likes_level_click_rate",
            "views_level_click_rate",
        )
    },
    "drawn": {"history_length_valid_or_train": {"auc": 0.5, "standard_error": None}},
    "levels": {"likes_level": [{"level": 1, "train_rows": 4, "train_click_share": 0.25}], "views_level": []},
    "whose_levels": {"own": {"valid": {"clicks": 1.0, "others": 0.05}}},
    "known_answers": {"target_in_history": {"valid": {"clicks": 0.0, "others": 0.0}}},
    "thresholds": {"auc_difference": 0.03, "standard_errors": 3.0},
}  # fmt: skip
ONE, TWO = ({"item_id": number, "title": title, "tags": ["x"]} for number, title in ((1, "One"), (2, "<b>Two</b>")))
ROWS = {
    "missed_clicks": [
        {
            "row_id": 2, "prediction": 0.4, "item": TWO, "levels": [3, 7], "own_levels": [2, 5],
            "pieces": {"taste": 0.5, "levels": -2.5}, "clicked_before": [ONE],
        }
    ],
    "false_hopes": [],
}  # fmt: skip
CONTENT = pd.DataFrame(
    {"item_id": [1, 2, 3], "title": ["One", "Two", " "], "tag_words": [["cat", "dog"], [], ["bird"]],
     "likes_level": [2, 0, 1], "views_level": [5, 0, 1]}
)  # fmt: skip
EMBEDDING = np.eye(4, 8, dtype=np.float32) * np.array([[0.0], [1.0], [1.0], [1.0]], np.float32)
TAGS = np.array([[0] * 5, [0, 0, 0, 1, 2], [0] * 5, [0, 0, 0, 0, 3]], np.int32)
NO_COVERS = Covers(None)


HELD = [{"rule": "Left is left.", "source": "a page", "held": True, "evidence": "it was", "remedy": ""}]
BROKEN = {"rule": "As given.", "source": "", "held": False, "evidence": "epochs is 2, not 100", "remedy": "Set it."}


@pytest.fixture
def inputs(clicks):
    """Six valid rows: clicks score .8 .4 .7, the others .6 .2 .1; the truth ranks all of them right."""
    valid = np.array([0.8, 0.6, 0.4, 0.2, 0.7, 0.1])
    return {
        "ctr_model": trained(),
        "predictions": pd.DataFrame(
            {
                "split": ["valid"] * 6 + ["test"] * 3,
                "row_id": [*range(6), *range(3)],
                "pctr": np.concatenate([valid, [0.3, 0.2, 0.1]]).astype(np.float32),
            }
        ),
        "leak_free_model": trained(leak_free="a piece is off"),
        "leak_free_predictions": pd.DataFrame(
            {"split": "valid", "row_id": range(6), "pctr": np.array([0.9, 0.1, 0.1, 0.2, 0.1, 0.2], np.float32)}
        ),
        "training_history": [epoch(1, 0.6), epoch(2, 0.8), epoch(3, 0.7)],
        "clicks_train": clicks(item=[1, 1, 2, 2], label=[1, 1, 1, 0]),
        "clicks_valid": clicks(item=[1, 1, 2, 2, 3, 3], label=[1, 0, 1, 0, 1, 0], length=[3, 4, 3, 4, 64, 70]),
        "clicks_test": clicks(item=[1, 3, 3]),
        "truth": pd.DataFrame(
            {
                "split": ["valid"] * 6 + ["test"] * 3,
                "row_id": [*range(6), *range(3)],
                "posterior": [0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.5, 0.5, 0.5],
                "posterior_without_taste": [0.9, 0.1, 0.2, 0.8, 0.7, 0.3, 0.5, 0.5, 0.5],
                "posterior_without_levels": [0.5] * 9,
            }
        ),
        "rules": HELD,
        "item_embedding": EMBEDDING,
    }


def epoch(number: int, auc: float) -> dict:
    return {
        "epoch": number, "train_loss": 0.5, "valid_auc": auc, "valid_logloss": 0.6, "learning_rate": 1e-3,
        "seconds": 2.0, "rows_per_second": 100.0,
    }  # fmt: skip


def test_metrics_are_those_of_the_valid_rows(inputs):
    metrics = evaluate(**inputs, task="task1")
    # Nine pairs, one wrong: the click at .4 lies below the other at .6.
    assert metrics["auc"] == pytest.approx(8 / 9)
    assert metrics["best_reachable_auc"] == 1.0
    assert metrics["logloss"] == pytest.approx(-np.mean(np.log([0.8, 0.4, 0.4, 0.8, 0.7, 0.9])), abs=1e-6)
    assert (metrics["rows"], metrics["clicks"], metrics["click_share"]) == (6, 3, 0.5)
    assert (metrics["epochs"], metrics["best_epoch"], metrics["run"]["seconds"]) == (3, 2, 6.0)
    assert metrics["run"]["rows_per_second"] == pytest.approx(100)


def test_each_auc_has_its_half_without_the_leak_and_its_three_ceilings(inputs):
    metrics = evaluate(**inputs, task="task2")
    # Without it clicks score .9 .1 .1, the others .1 .2 .2: 3 of 9 pairs right, 2 ties.
    assert metrics["without_leak"]["auc"] == pytest.approx(4 / 9)
    assert metrics["without_leak"]["how"] == "a piece is off"
    assert metrics["ceilings"] == {
        "posterior": 1.0, "posterior_without_taste": pytest.approx(6 / 9), "posterior_without_levels": 0.5
    }  # fmt: skip
    assert metrics["compared"] == COMPARED
    nothing_leaks = evaluate(**inputs | {"leak_free_model": trained()}, task="task2")
    assert nothing_leaks["without_leak"] is None
    page = said(task_page(nothing_leaks, inputs["training_history"]))
    assert "How good is it? " in page
    assert "leak" not in page.split("What are the data")[0]


def test_a_page_shows_what_is_left_without_the_leak_and_which_pieces_earned_their_place(pages):
    page = said(pages["task2"])
    assert "Without the leak: a piece is off." in page
    assert "Beside taste, 2 pieces of the model had to earn their place; kept: levels." in page
    assert pages["all"].count("0.4444") >= 3


def test_slices_are_tenths_by_clicks_in_train_history_lengths_and_items_never_trained_on(inputs):
    metrics = evaluate(**inputs, task="task1")
    # Item 3 is in no train row, item 2 has one click, item 1 two.
    assert [(s["bucket"], s["rows"], s["auc"]) for s in metrics["auc_by_popularity_decile"]] == [
        ("1", 2, 1.0), ("2", 2, 1.0),
    ]  # fmt: skip
    assert metrics["auc_unseen_items"] == {
        "rows": 2, "clicks": 1, "auc": 1.0, "auc_interval": None, "best_reachable_auc": 1.0
    }  # fmt: skip
    assert [(s["bucket"], s["rows"], s["auc"]) for s in metrics["auc_by_history_length"]] == [
        ("3-4", 4, 0.75),
        ("30+", 2, 1.0),
    ]


def test_the_auc_within_users_leaves_out_users_of_one_kind_and_says_how_many_rows_remain(inputs):
    # Users 1 and 2 have two rows each, one right, one wrong way round; users 3 and 4 have one row each.
    valid = replace(
        inputs["clicks_valid"],
        label=np.array([1, 0, 0, 1, 1, 0], np.int8),
        history_user=np.array([1, 1, 2, 2, 3, 4], np.int32),
    )
    metrics = evaluate(**{**inputs, "clicks_valid": valid}, task="task1")
    assert (metrics["gauc"], metrics["gauc_users"]) == (0.5, 2)
    assert metrics["gauc_rows_share"] == pytest.approx(4 / 6)


def test_without_users_of_both_kinds_there_is_no_auc_within_users(inputs):
    metrics = evaluate(**inputs, task="task1")  # every row is a user of its own
    assert (metrics["gauc"], metrics["gauc_users"], metrics["gauc_rows_share"]) == (None, 0, 0.0)
    assert "no AUC within users" in said(task_page(metrics, inputs["training_history"]))


def test_predicted_clicks_are_set_against_clicks(inputs):
    assert evaluate(**inputs, task="task1")["predicted_per_click"] == pytest.approx(2.8 / 3)


def test_of_the_test_rows_only_counts_are_told(inputs):
    metrics = evaluate(**inputs, task="task1")
    assert (metrics["test_rows"], metrics["test_rows_with_unseen_item"]) == (3, 2)
    changed = inputs["truth"].assign(posterior=lambda t: t["posterior"].where(t["split"] == "valid", 0.99))
    other = inputs["predictions"].assign(pctr=lambda p: p["pctr"].where(p["split"] == "valid", np.float32(0.9)))
    assert evaluate(**{**inputs, "truth": changed, "predictions": other}, task="task1") == metrics


def test_without_a_truth_the_best_reachable_auc_is_null_and_the_page_says_so(inputs):
    metrics = evaluate(**{**inputs, "truth": inputs["truth"].iloc[:0]}, task="task2")
    assert metrics["best_reachable_auc"] is None
    assert metrics["auc_by_popularity_decile"][0]["best_reachable_auc"] is None
    page = said(task_page(metrics, inputs["training_history"]))
    assert "the best reachable AUC of this data is not known." in page
    assert "of at most" not in page


def test_metrics_are_strict_json_even_where_a_slice_has_one_class(inputs, clicks):
    valid = clicks(item=[1, 1, 2, 2, 3, 3], label=[1, 0, 0, 0, 1, 1])
    metrics = evaluate(**{**inputs, "clicks_valid": valid}, task="task1")
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert metrics["auc_unseen_items"]["auc"] is None


def test_valid_rows_of_one_class_give_null_and_a_page_all_the_same(inputs, clicks):
    valid = clicks(item=[1, 1, 2, 2, 3, 3], label=[0] * 6)
    metrics = evaluate(**{**inputs, "clicks_valid": valid}, task="task2")
    assert metrics["auc"] is None
    page = task_page(metrics, inputs["training_history"])
    assert "hold only one class" in page


def test_evaluating_leaves_its_inputs_alone(inputs):
    before = {name: inputs[name].copy() for name in ("predictions", "truth")}
    evaluate(**inputs, task="task1")
    for name, table in before.items():
        pd.testing.assert_frame_equal(inputs[name], table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p[p["row_id"] != 2], "has 5 valid rows, not the 6 of clicks_valid"),
        (lambda p: p.iloc[::-1], "not the 6 of clicks_valid in their order"),
        (lambda p: p.assign(pctr=np.nan), "pctr is no finite number in 6 valid rows"),
    ],
    ids=["missing", "out of order", "nan"],
)
def test_predictions_that_do_not_fit_the_valid_rows_are_refused(inputs, change, message):
    with pytest.raises(MmctrError, match=message):
        evaluate(**{**inputs, "predictions": change(inputs["predictions"])}, task="task1")


class Loads(HTMLParser):
    """Collects everything a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.found += [
            f"<{tag} {name}={value}>" for name, value in attrs if tag != "a"  # which waits for a click
            if name in {"src", "href", "srcset", "data"} and not value.startswith(("#", "data:image/jpeg;base64,"))
        ]  # fmt: skip
        if tag in {"link", "iframe", "object"}:
            self.found.append(tag)


COMPARED = [
    {"piece": "levels", "auc_with": 0.9, "auc_without": 0.6, "gain": 0.3, "standard_error": 0.01, "kept": True},
    {"piece": "record", "auc_with": 0.9, "auc_without": 0.91, "gain": -0.01, "standard_error": 0.01, "kept": False},
]  # fmt: skip


def trained(fixed: bool = False, leak_free: str = "", **settings) -> TrainedModel:
    """A model's settings; nothing here looks at its weights."""
    ctr = CtrParams(**settings).model_dump(mode="json")
    known = {"embedding_width": 128, "best_epoch": 2, "compared": COMPARED, "leak_free": leak_free}
    return TrainedModel({"ctr": ctr, "fixed": fixed, **known}, {})


def with_weights(model: TrainedModel) -> TrainedModel:
    """The same, freshly initialised for three items."""
    weights = build_model(CtrParams(**model.settings["ctr"]), TAGS, EMBEDDING).state_dict()
    sizes = {"items": len(TAGS), "tags": int(TAGS.max()) + 1, "embedding_width": EMBEDDING.shape[1]}
    return TrainedModel(model.settings | sizes, {name: value.numpy() for name, value in weights.items()})


def task_page(metrics: dict, history: list, **settings) -> str:
    model = trained(**settings)
    made = Results(model, model, history, metrics, HELD)
    return write_task_report(DATA_REPORT, DIAGNOSTICS, NO_COVERS, ROWS, *made, *draw_figures(metrics, history))


def bundled(task: str, metrics: dict, history: list) -> Bundle:
    """As much of a task's bundle as the page of all tasks is made from."""
    model = trained(fixed=task == "task1")
    made = {task: Results(model, model, history, metrics, HELD)}
    manifest = {
        "tasks": [task],
        "metrics": {task: {name: value for name, value in metrics.items() if name != "run"}},
        "rules": {task: HELD},
        "run": {"training": {task: metrics["run"]}, "evaluations": {task: history}},
    }
    bundle = Bundle(
        manifest, {f"{task}/{name}.safetensors": model_bytes(model) for name in ("ctr_model", "leak_free_model")}
    )
    assert bundle.results() == made
    return bundle


def together(metrics: dict, histories: list) -> str:
    bundles = (bundled(task, of, history) for (task, of), history in zip(metrics.items(), histories, strict=True))
    return write_report(DATA_REPORT, DIAGNOSTICS, *bundles)


def said(page: str) -> str:
    """What a reader sees of a page, without its scripts."""
    return " ".join(html.unescape(re.sub(r"<.*?>", " ", page.split("<script>")[0])).split())


@pytest.fixture
def pages(inputs):
    metrics = {task: evaluate(**inputs, task=task) for task in TASKS}
    histories = [inputs["training_history"]] * 3
    one = task_page(metrics["task2"], histories[0], batch_size=64)
    return {
        "task2": one,
        "all": together(metrics, histories),
    }


def test_a_page_loads_nothing(pages):
    for page in pages.values():
        loads = Loads()
        loads.feed(page)
        assert loads.found == []
        assert loads.scripts == 2  # plotly.js once, and our own
        assert "default-src 'none'" in page
        assert "@import" not in page.split("<script>")[0]


def test_a_page_shows_its_figures_and_says_what_it_is_about(pages):
    for page in pages.values():
        assert all(f'<div class="plot" id="{name}" role="img"' in page and f'"{name}": {{' in page for name in NAMES)
    assert "<h1>Task 2: valid AUC 0.8889 of at most 1.0000</h1>" in pages["task2"]
    assert 'kedro run --pipeline task2 --params "task2.ctr.' in said(pages["task2"])
    assert "task2.ctr.batch_size=64," in pages["task2"]
    assert "<h1>Task 1, Task 2 and Task 1 &amp; 2 side by side</h1>" in pages["all"]
    assert all(f"{label} : AUC 0.8889 by din" in said(pages["all"]) for label in ("Task 1", "Task 2", "Task 1 & 2"))
    assert "world version" in pages["all"]


def test_a_page_says_whether_train_and_valid_are_drawn_alike(pages):
    for page in pages.values():
        assert '<li class="marked">Train &amp; valid differ.</li>' in page
        assert "<li>Every row has" in page.split("What else was looked at")[1]
        assert all(f'<div class="plot" id="{name}"' in page for name in ("signals", "history_lengths"))
        assert '"history_lengths": {' in page


def test_figures_stand_flush_right_and_an_unknown_one_too(pages):
    assert '<th>piece</th><th class="number">AUC with</th>' in pages["task2"]
    assert '<td>levels</td><td class="number">0.9000</td>' in pages["task2"]
    assert (
        '<td>item click rate</td><td class="number">0.7000</td><td class="number">0.0100</td><td class="number">–'
        in (pages["task2"])
    )


def test_words_from_the_data_cannot_become_markup(pages):
    for page in pages.values():
        assert "<script>alert(1)</script>" not in page
        assert "<b>Two</b>" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_same_inputs_give_the_same_page(inputs):
    def page() -> str:
        metrics = evaluate(**inputs, task="task1")
        return task_page(metrics, inputs["training_history"])

    assert page() == page()


def test_a_repeated_run_gives_the_same_page_outside_the_run_section(inputs):
    def page(seconds: float) -> str:
        history = [
            entry | {"seconds": seconds, "rows_per_second": 600 / seconds} for entry in inputs["training_history"]
        ]
        metrics = evaluate(**{**inputs, "training_history": history}, task="task1")
        return task_page(metrics, history)

    slow, quick = page(7.0), page(3.0)
    assert slow != quick
    without = re.compile(r'<section id="run">.*?</section>', re.DOTALL)
    assert without.sub("", slow) == without.sub("", quick)


def test_pages_and_metrics_mark_what_may_not_be_submitted(inputs):
    official = evaluate(**inputs, task="task2")
    short = evaluate(**{**inputs, "rules": [*HELD, BROKEN]}, task="task1")
    assert official["not_submittable"] == []
    assert short["not_submittable"] == ["epochs is 2, not 100"]
    history = inputs["training_history"]
    all_three = dict(zip(TASKS, [short, official, official], strict=True))
    assert "Not submittable (Task 1): epochs is 2, not 100." in said(together(all_three, [history] * 3))
    assert "Not submittable: epochs is 2, not 100." in said(task_page(short, history))
    of_all = said(together({task: official | {"task": task} for task in TASKS}, [history] * 3))
    assert "Not submittable" not in of_all
    assert of_all.count("It may be submitted.") == 3


def test_the_command_that_makes_a_page_again_has_the_exact_settings(inputs):
    metrics = evaluate(**inputs, task="task2")
    page = task_page(metrics, inputs["training_history"], learning_rate=0.00123456, embedding_regularizer=1.23456e-7)
    assert (
        'kedro run --pipeline task2 --params "task2.ctr.epochs=100,task2.ctr.model.name=din,'
        'task2.ctr.learning_rate=0.00123456,task2.ctr.batch_size=8192,task2.ctr.embedding_regularizer=1.23456e-07"'
    ) in said(page)


def test_the_command_names_the_model_and_what_is_not_its_own_but_no_list(inputs):
    metrics = evaluate(**inputs, task="task2")
    model = {"name": "transformer_dcn", "width": 16, "dnn_units": [8]}
    page = task_page(metrics, inputs["training_history"], model=model)
    assert "task2.ctr.model.name=transformer_dcn,task2.ctr.model.width=16,task2.ctr.learning_rate=0.0005" in page
    assert "dnn_units=" not in page


def test_a_last_epoch_that_was_the_best_is_remarked_on(inputs):
    metrics = {**evaluate(**inputs, task="task1"), "best_epoch": 3}
    page = said(task_page(metrics, inputs["training_history"], epochs=3))
    assert "The last epoch that was allowed was the best one: more may still gain. kedro run --pipeline task1" in page
    assert "The last epoch" not in said(task_page(metrics, inputs["training_history"], epochs=100))


def buckets(aucs, error=0.02):
    """Slices with these AUCs, each of one standard error."""
    return [
        {"bucket": f"{number}", "auc": auc, "auc_interval": [auc - 1.96 * error, auc + 1.96 * error]}
        for number, auc in enumerate(aucs)
    ]


def test_two_buckets_differ_where_their_difference_leaves_its_interval():
    # One standard error of the difference is 0.0283; 1.96 of them are 0.0554.
    said = text.about_slices(buckets([0.70, 0.75]), "clicks")
    assert "lowest at 0 clicks, 0.700 (0.661 to 0.739), and highest at 1" in said
    assert "Noise may explain it" in said
    assert "more than noise" in text.about_slices(buckets([0.70, 0.76]), "clicks")
    assert "Noise may explain it" in text.about_slices(buckets([0.70, *[0.73] * 8, 0.76]), "clicks")
    assert "more than noise" in text.about_slices(buckets([0.70, *[0.75] * 8, 0.80]), "clicks")


def test_of_ten_equal_buckets_two_are_called_different_in_fewer_than_one_table_of_twenty():
    rng = np.random.default_rng(5)
    tables = [buckets(rng.normal(0.7, 0.02, 10)) for _ in range(2000)]
    called = np.mean(["more than noise" in text.about_slices(table, "clicks") for table in tables])
    assert 0.02 < called < 0.05


def test_the_pipelines_write_metrics_figures_and_pages(inputs, tmp_path):
    shared = {
        "item_content": CONTENT,
        "data_report": DATA_REPORT,
        "data_diagnostics": DIAGNOSTICS,
        "covers": NO_COVERS,
        "item_tags": TAGS,
        "provided_item_embedding": EMBEDDING,
        "params:embedding": EmbeddingParams(),
    }
    of_a_task = ("predictions", "training_history", "rules", "leak_free_model", "leak_free_predictions")
    given = {**shared, **{name: inputs[name] for name in inputs if name not in of_a_task}}
    catalog = DataCatalog({name: MemoryDataset(value, copy_mode="assign") for name, value in given.items()})
    for task in TASKS:
        for name in of_a_task:
            catalog[f"{task}.{name}"] = MemoryDataset(inputs[name])
        catalog[f"{task}.ctr_model"] = with_weights(trained(fixed=task == "task1"))
        catalog[f"{task}.example_rows"] = JSONDataset(filepath=str(tmp_path / f"{task}_rows.json"))
        catalog[f"{task}.metrics"] = JSONDataset(filepath=str(tmp_path / f"{task}.json"))
        for name in NAMES:
            catalog[f"{task}.{name}_figure"] = FigureDataset(filepath=str(tmp_path / f"{task}_{name}.json"))
        of_task = evaluate(**inputs, task=task)
        catalog[f"{task}.bundle"] = MemoryDataset(bundled(task, of_task, inputs["training_history"]))
    pipeline = sum((create_task_pipeline(task) for task in TASKS), start=create_pipeline())
    written = SequentialRunner().run(pipeline, catalog)
    assert {"report", *(f"{task}.report" for task in TASKS)} <= set(written)
    assert catalog["task2.metrics"].load() == evaluate(**inputs, task="task2")
    ours = catalog["task1.metrics"].load()["embedding"]
    assert (ours["variant"], ours["encoders"]["titles"]) == ("concat_pca", "minilm")
    # Kedro-Viz shows what preview() gives: plain lists, which every version of plotly.js can draw.
    assert catalog["task2.roc_figure"].preview()["data"][1]["y"][-1] == 1.0


def test_a_task_reports_without_knowing_the_other_tasks():
    pipeline = create_task_pipeline("task2")
    assert pipeline.inputs() == {
        "task2.predictions", "task2.training_history", "clicks_train", "clicks_valid", "clicks_test", "truth",
        "item_content", "data_report", "data_diagnostics", "task2.ctr_model", "covers", "item_tags",
        "provided_item_embedding",
        "task2.rules", "task2.leak_free_model", "task2.leak_free_predictions",
    }  # fmt: skip
    assert {name.split(".")[0] for name in pipeline.all_outputs()} == {"task2"}


def test_a_page_asks_a_newcomers_questions_in_their_order(pages):
    for page in pages.values():
        headings = re.findall(r"<h2.*?>(.*?)</h2>", page)
        assert headings == [
            "What are the data, and how are they drawn?",
            "Which embedding, and which model?",
            "How good is it, with and without the leak?",
            "Where does it fail?",
            "What did the model see?",
            "May I submit it?",
            "What to try next?",
            "Make this page again",
            "This run",
        ]
        linked = re.findall(r'<a href="#(.*?)">', page)
        assert len(linked) >= 7
        assert all(f'id="{name}"' in page for name in linked)
        assert set(re.findall(r"<(h\d)", page)) <= {"h1", "h2", "h3"}


def test_a_page_says_in_words_what_was_predicted_and_how_good_that_is(pages):
    assert (
        "6 rows of 6 users, kept out of training, are ranked by the predicted probability of a click. AUC is how "
        "often, of a clicked and a skipped row, the clicked one comes first: a coin has 0.5, whoever knew this world's "
        "true probabilities would have 1.0000. AUC 0.8889 by din , 78% of the way from the coin to the best; without "
        "the leak 0.4444 is left, of at most 0.5000. It may be submitted. The leak: most rows without a click give "
    ) in said(pages["task2"])


def test_a_page_says_which_embedding_and_model_it_was_and_how_many_parameters(inputs):
    page = said(task_page(evaluate(**inputs, task="task2"), inputs["training_history"]))
    assert "provided by the organisers" in page
    assert "din: the challenge's fixed model, a Deep Interest Network (Zhou et al., arXiv:1706.06978)" in page
    judged = evaluate_on_our_embedding(EmbeddingParams(), *inputs.values(), task="task1")
    assert "concat_pca: covers by efficientnet_lite0, titles by minilm" in said(
        task_page(judged, inputs["training_history"])
    )


@pytest.mark.parametrize(
    ("settings", "encoders", "words"),
    [
        ({"modalities": "text"}, {"titles": "minilm"}, "concat_pca: titles by minilm"),
        ({"modalities": "image"}, {"covers": "efficientnet_lite0"}, "concat_pca: covers by efficientnet_lite0"),
        ({"variant": "provided"}, {}, "provided by the organisers"),
        (
            {"variant": "semantic_ids", "semantic_ids": {"of": "provided"}},
            {},
            "semantic_ids: of those provided by the organisers",
        ),
    ],
)
def test_only_encoders_that_the_embedding_comes_from_are_named(inputs, settings, encoders, words):
    judged = evaluate_on_our_embedding(EmbeddingParams(**settings), *inputs.values(), task="task1")
    assert judged["embedding"]["encoders"] == encoders
    page = said(task_page(judged, inputs["training_history"]))
    assert f"{words} " in page


def test_rows_show_covers_titles_and_what_each_piece_added(inputs):
    page = task_page(evaluate(**inputs, task="task2"), inputs["training_history"])
    row = page.split('<div class="seen">')[1]
    assert said(row).startswith("no cover 40.0% <b>Two</b> x no cover One x The row carries likes level 3 and views")
    assert "likes level 3 and views level 7; the item's own are 2 and 5." in said(row)
    assert '<span>levels</span><i><u class="against"\n  style="--size: 100.00%"></u></i><b>-2.50</b>' in row
    assert '<span>taste</span><i><u class="for"\n  style="--size: 20.00%"></u></i><b>+0.50</b>' in row
    assert "<span>sum</span><i></i><b>-2.00</b>" in row


def test_the_page_of_all_tasks_leads_to_the_rows_on_theirs(pages):
    linked = re.findall(r'<a href="(?!#)(.*?)">', pages["all"].split("<script>")[0])
    assert linked == [f"{task}/report.html#rows-section" for task in TASKS]
    assert 'id="rows-section"' in pages["task2"]
    assert '<div class="seen">' not in pages["all"]


def test_example_rows_are_worst_and_best_and_their_pieces_sum_to_the_prediction(inputs):
    model = with_weights(trained(model={"name": "evidence"}))
    tables = (inputs["clicks_valid"], TAGS, EMBEDDING)
    pctr = predict(model, *tables)
    predictions = pd.DataFrame({"split": "valid", "row_id": range(6), "pctr": pctr})
    found = show_example_rows(model, predictions, inputs["clicks_valid"], CONTENT, TAGS, EMBEDDING)
    rows = [row for kind in found.values() for row in kind]
    assert {row["row_id"] for row in rows} == set(range(6))
    for row in rows:
        assert set(row["pieces"]) == {"taste", "levels"}
        logit = sum(row["pieces"].values())
        assert 1 / (1 + np.exp(-logit)) == pytest.approx(row["prediction"], abs=2e-3)

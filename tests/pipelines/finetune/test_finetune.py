"""Adapters learn who is clicked with whom from train alone, and leave behind an ordinary model."""

import hashlib
import logging
import os
import random
from pathlib import Path

import numpy as np
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.datasets.trained import SentenceTransformerDataset
from mmctr_kedro.encoders import IMAGE_ENCODERS, TEXT_ENCODERS
from mmctr_kedro.encoders.item_vectors import item_texts
from mmctr_kedro.encoders.settings import FinetuneParams
from mmctr_kedro.fusion.settings import EmbeddingParams
from mmctr_kedro.pipelines.finetune import create_pipeline, nodes
from mmctr_kedro.pipelines.settings import check_settings

CONTROLS = {"threads": 1, "device": "cpu"}


def params(**settings) -> FinetuneParams:
    quick = {"batch_size": 16, "learning_rate": 1e-2, "epochs": 2, "pairs_per_epoch": 640, "held_out": 0.2}
    return FinetuneParams(**CONTROLS | quick | settings)


def embedding(model: Path, modality: str = "text") -> EmbeddingParams:
    chosen = {"name": "sentence_transformer", "sentence_transformer": {"model": str(model), "device": "cpu"}}
    return EmbeddingParams(**{modality: {**chosen, "threads": 1}})


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(world, models, folder: Path, **settings) -> dict:
    """The pipeline as Kedro runs it; returns its report."""
    catalog = DataCatalog(
        {
            "params:finetune": MemoryDataset(params(**settings)),
            "params:embedding": MemoryDataset(embedding(models["bert"])),
            "tuned_encoder": SentenceTransformerDataset(filepath=str(folder / "tuned")),
            "tuning_report": JSONDataset(filepath=str(folder / "report.json")),
            **{name: MemoryDataset(value, copy_mode="assign") for name, value in world._asdict().items()},
        }
    )
    SequentialRunner().run(create_pipeline(), catalog)
    return catalog["tuning_report"].load()


@pytest.fixture(scope="module")
def tuned(world, models, tmp_path_factory):
    """A run on the world of two kinds: its folder and its report."""
    folder = tmp_path_factory.mktemp("run")
    return folder, run(world, models, folder)


def test_of_all_clicks_only_trains_are_an_input():
    inputs = {"params:finetune", "params:embedding", "item_content", "covers", "clicks_train"}
    assert create_pipeline().inputs() == inputs
    assert create_pipeline().all_outputs() == {"tuned_encoder", "tuning_report"}


def test_the_loss_on_users_never_learnt_from_falls(tuned):
    _, report = tuned
    assert report["held_out_loss"] < report["held_out_loss_before"] - 0.3
    assert report["best_epoch"] >= 1
    assert 0 < report["trainable_share"] < 1
    assert report["trainable_parameters"] > 0
    assert report["pairs"] > report["held_out_pairs"] > 0


def test_items_clicked_by_the_same_users_come_together(tuned, world, models):
    def apart(model: Path) -> float:
        """Mean cosine within a kind less that between kinds."""
        unit = TEXT_ENCODERS["sentence_transformer"](embedding(model).text).encode(item_texts(world.item_content))
        cosine, kind = unit @ unit.T, np.arange(len(unit)) % 2
        same = kind[:, None] == kind[None, :]
        return cosine[same & ~np.eye(len(unit), dtype=bool)].mean() - cosine[~same].mean()

    assert apart(tuned[0] / "tuned") > apart(models["bert"]) + 0.05


def test_the_same_seed_gives_the_same_bytes(tuned, world, models, tmp_path):
    run(world, models, tmp_path)
    assert digests(tmp_path) == digests(tuned[0])


def test_the_merged_model_is_the_adapted_one_and_holds_no_adapter(world, models, monkeypatch, tmp_path):
    from mmctr_kedro.encoders import lora, sentence_transformer

    texts, loaded, seen = item_texts(world.item_content), [], []
    monkeypatch.setattr(nodes, "load", lambda *given: loaded.append(sentence_transformer.load(*given)) or loaded[0])
    restore = lora.BestEpoch.restore

    def restore_and_look(best) -> None:
        restore(best)
        seen.append(loaded[0].eval().encode(texts, show_progress_bar=False))

    monkeypatch.setattr(lora.BestEpoch, "restore", restore_and_look)
    model, _ = nodes.tune_encoder(params(), embedding(models["bert"]), *world)
    SentenceTransformerDataset(filepath=str(tmp_path / "tuned")).save(model)
    assert not [name for name, _ in model.named_parameters() if "lora" in name]
    assert not [name for name in digests(tmp_path) if "adapter" in name]
    merged = SentenceTransformerDataset(filepath=str(tmp_path / "tuned")).load().encode(texts, show_progress_bar=False)
    np.testing.assert_allclose(merged, seen[0], atol=1e-4)


def test_the_tuned_model_is_an_encoder_chosen_on_the_command_line(tuned):
    """--params embedding.text.name=sentence_transformer,embedding.text.sentence_transformer.model=<folder>."""
    text = {"name": "sentence_transformer", "sentence_transformer": {"model": str(tuned[0] / "tuned")}}
    given = {"embedding": {"text": text}}
    known = {"root": "data", "log_folder": "logs", "embedding": {"variant": "concat_pca"}}
    check_settings({"embedding": {"variant": "concat_pca", "text": text}}, known, given)
    encoder = TEXT_ENCODERS["sentence_transformer"](EmbeddingParams(text=text).text)
    assert encoder.encode(["a b"]).shape == (1, encoder.width)


def test_the_model_it_starts_from_stays_as_it_is(world, models):
    before = digests(models["bert"])
    nodes.tune_encoder(params(epochs=1, pairs_per_epoch=32), embedding(models["bert"]), *world)
    assert digests(models["bert"]) == before


def test_an_image_encoder_is_tuned_by_the_same_pairs(world, models, tmp_path):
    settings = params(modality="image", pairs_per_epoch=320)
    model, report = nodes.tune_encoder(settings, embedding(models["dinov2"], "image"), *world)
    assert report["held_out_loss"] < report["held_out_loss_before"] - 0.03  # colours tell the kinds apart untuned
    SentenceTransformerDataset(filepath=str(tmp_path / "tuned")).save(model)
    encoder = IMAGE_ENCODERS["sentence_transformer"](embedding(tmp_path / "tuned", "image").image)
    assert np.isfinite(encoder.encode(np.zeros((1, encoder.side, encoder.side, 3), np.uint8))).all()


def test_it_stops_without_gain_and_keeps_the_best(world, models, caplog):
    with caplog.at_level(logging.INFO):
        _, report = nodes.tune_encoder(
            params(epochs=20, patience=1, learning_rate=3.0, pairs_per_epoch=64), embedding(models["bert"]), *world
        )
    lines = [record.getMessage() for record in caplog.records if "on held-out users" in record.getMessage()]
    assert len(lines) == report["epochs"] + 1 < 20
    assert "1 of 1 before stopping" in lines[-1]
    assert report["held_out_loss"] <= report["held_out_loss_before"]


def test_a_training_says_its_lines_writes_nothing_and_leaves_the_process_alone(
    world, models, tmp_path, monkeypatch, capfd, recwarn
):
    import torch

    import mmctr_kedro.encoders.lora  # noqa: F401  some library draws from Python's random when imported
    from mmctr_kedro.common.machine import reproducible

    with reproducible(params()):  # sets one variable for good, as it does in every training
        pass
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = dict(os.environ)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    nodes.tune_encoder(params(epochs=1, pairs_per_epoch=32), embedding(models["bert"]), *world)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == states  # noqa: NPY002
    assert {name: value for name, value in os.environ.items() if before.get(name) != value} == {}
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
    assert not [str(warning.message) for warning in recwarn]


@pytest.mark.parametrize("name", nodes.EXTRA)
def test_a_missing_extra_is_said_before_any_work(world, models, monkeypatch, name):
    monkeypatch.setattr(nodes, "find_spec", lambda wanted: None if wanted == name else object())
    monkeypatch.setattr(nodes, "pairs_of", None)
    with pytest.raises(MmctrError, match=rf"needs {name}: pip install -c requirements\.lock accelerate datasets peft"):
        nodes.tune_encoder(params(), embedding(models["bert"]), *world)


def test_too_few_pairs_are_refused_with_the_way_out(world, models, clicks):
    lonely = world._replace(clicks_train=clicks([[1], [2], [3]]))
    with pytest.raises(MmctrError, match=r"0 pairs of items with different texts.*Raise finetune\.window"):
        nodes.tune_encoder(params(), embedding(models["bert"]), *lonely)


def test_items_without_words_and_items_of_one_text_teach_nothing(world, models, clicks):
    content = world.item_content.assign(title=["", "a b", "a b", *world.item_content["title"][3:]])
    pairs = world._replace(item_content=content, clicks_train=clicks([[1, 4], [2, 3]] * 50))
    with pytest.raises(MmctrError, match=r"0 pairs of items with different texts"):
        nodes.tune_encoder(params(window=1), embedding(models["bert"]), *pairs)


@pytest.mark.parametrize(("modality", "name"), [("text", "item_feature"), ("image", "efficientnet_lite0")])
def test_what_has_no_torch_model_cannot_be_tuned(world, modality, name):
    with pytest.raises(MmctrError, match=rf"embedding\.{modality}\.name '{name}' cannot be tuned"):
        nodes.tune_encoder(params(modality=modality), EmbeddingParams(**{modality: {"name": name}}), *world)


def test_layers_that_are_not_there_are_refused_with_those_that_are(world, models):
    with pytest.raises(MmctrError, match=r"target_modules .*q_proj.* fit no layer.*key, query, value"):
        nodes.tune_encoder(params(target_modules=("q_proj",)), embedding(models["bert"]), *world)


def test_a_loss_that_is_not_finite_is_an_error(world, models):
    with pytest.raises(MmctrError, match=r"became nan in epoch 1\. Lower finetune\.learning_rate"):
        nodes.tune_encoder(params(learning_rate=1e30), embedding(models["bert"]), *world)


def test_a_model_given_by_name_alone_is_tuned_where_it_is_packaged():
    from mmctr_kedro.encoders.minilm import packaged

    assert nodes._encoder(params(), EmbeddingParams()) == packaged()

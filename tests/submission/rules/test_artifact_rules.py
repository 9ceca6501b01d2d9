"""Every way round a rule that artifacts can show is found, and an honest run breaks none."""

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from mmctr_kedro.common.params import TASKS
from mmctr_kedro.data.clicks import Clicks, digest
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.models import restore_model as honest_restore
from mmctr_kedro.pipelines.ctr.nodes import predict, train_model
from mmctr_kedro.submission import rules
from tests.submission.rules.conftest import SETTINGS


def with_settings(model: TrainedModel, **changes) -> TrainedModel:
    return TrainedModel({**model.settings, **changes}, model.weights)


def trained_on(model: TrainedModel, **digests) -> TrainedModel:
    """A model that claims to have been trained on this."""
    return with_settings(model, trained_on={**model.settings["trained_on"], **digests})


@pytest.mark.parametrize("task", TASKS)
def test_an_honest_run_breaks_no_rule(task, finished, broken):
    assert broken(task, finished[task]) == {}


def test_every_rule_has_a_source_a_remedy_and_a_task():
    assert all(rule.says and rule.source and rule.remedy and set(rule.tasks) <= set(TASKS) for rule, _ in rules.RULES)
    assert len({rule.says for rule, _ in rules.RULES}) == len(rules.RULES) == 9


def test_valid_rows_smuggled_into_train_are_found_though_the_model_knows_no_better(spoil, finished, broken):
    of = finished["task2"]
    shift, histories = len(of.train.history_items), len(of.train.history_user)
    both = Clicks(
        history_user=np.concatenate([of.train.history_user, of.valid.history_user]),
        history_offsets=np.concatenate([of.train.history_offsets, shift + of.valid.history_offsets[1:]]),
        history_items=np.concatenate([of.train.history_items, of.valid.history_items]),
        history=np.concatenate([of.train.history, histories + of.valid.history]).astype(np.int32),
        **{
            name: np.concatenate([getattr(of.train, name), getattr(of.valid, name)])
            for name in ("item", "likes_level", "views_level", "row_id", "label")
        },
    )
    model, history = train_model(SETTINGS["task2"], both, of.valid, of.item_tags, of.item_embedding)
    predictions = predict(model, of.valid, of.test, of.item_tags, of.item_embedding)
    found = broken("task2", spoil("task2", train=both, model=model, history=history, predictions=predictions))
    assert "train.parquet has 400 rows, clicks_train 600" in str(found)


def test_a_model_trained_on_other_rows_than_these_is_found(spoil, finished, broken):
    of = finished["task2"]
    changed = replace(of.train, label=1 - np.asarray(of.train.label))
    found = broken("task2", spoil("task2", train=changed))
    assert "the model was trained on another clicks_train than this" in str(found)
    found = broken("task2", spoil("task2", train=changed, model=trained_on(of.model, clicks_train=changed.digest())))
    assert "clicks_train has another label than MicroLens_1M_x1/train.parquet" in str(found)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_click_put_into_a_history_is_found(split, spoil, finished, broken):
    of = getattr(finished["task2"], split)
    other = np.array(of.history_items)
    other[0] = other[0] % 80 + 1
    found = broken("task2", spoil("task2", **{split: replace(of, history_items=other)}))
    assert f"clicks_{split} has histories that are not the newest clicks of" in str(found)


def test_one_test_row_changed_in_the_middle_is_found(finished, broken):
    of = finished["task2"]
    test = np.flatnonzero(of.predictions["split"] == "test")
    pctr = of.predictions["pctr"].to_numpy().copy()
    pctr[test[len(test) // 2]] *= 0.99
    found = broken("task2", replace(of, predictions=of.predictions.assign(pctr=pctr)))
    assert "predicted again one differs by" in str(found)


def test_test_rows_with_labels_are_found(spoil, finished, broken):
    of = finished["task2"]
    assert "clicks_test has labels" in str(broken("task2", spoil("task2", test=replace(of.test, label=of.valid.label))))


def test_one_changed_number_of_the_provided_embedding_is_found(spoil, finished, broken):
    of = finished["task2"]
    embedding = np.array(of.item_embedding)
    embedding[7, 3] = np.nextafter(embedding[7, 3], np.float32(9))
    model = trained_on(of.model, item_embedding=digest(item_embedding=embedding))
    found = broken("task2", spoil("task2", item_embedding=embedding, model=model))
    assert "that of MicroLens_1M_x1/item_info.parquet" in found["The item embedding is the provided one."]


def test_a_feature_hidden_in_the_tags_is_found(spoil, finished, broken):
    of = finished["task2"]
    wide = np.hstack([of.item_tags, of.item_tags[:, :2]])
    assert "item_tags has 7 columns, not 5" in str(broken("task2", spoil("task2", item_tags=wide)))
    other = np.array(of.item_tags)
    other[5, 0] += 1
    model = trained_on(of.model, item_tags=digest(item_tags=other))
    found = broken("task2", spoil("task2", item_tags=other, model=model))
    assert "item_tags differs from MicroLens_1M_x1/item_info.parquet for 1 items, first 5" in str(found)


@pytest.mark.parametrize("task", ["task1", "task1_and_2"])
def test_an_embedding_that_training_moved_is_found(task, spoil, finished, broken):
    moved = np.array(finished[task].item_embedding) * np.float32(1.001)
    found = broken(task, spoil(task, item_embedding=moved))
    assert "the model was trained on another item_embedding than this" in str(found)


def test_an_embedding_kept_as_a_weight_is_found(spoil, finished, broken):
    of = finished["task1_and_2"]
    model = TrainedModel(of.model.settings, {**of.model.weights, "shared": np.array(of.item_embedding)})
    assert "weight shared is the embedding itself" in str(broken("task1_and_2", spoil("task1_and_2", model=model)))


def test_another_model_than_the_fixed_din_is_found_in_task_1(spoil, finished, broken):
    evidence = finished["task1_and_2"].model
    found = broken("task1", spoil("task1", model=evidence))
    assert "it is not the fixed model; it is evidence, not din" in str(found)
    assert "it is evidence, not din" in str(broken("task1", spoil("task1", model=with_settings(evidence, fixed=True))))


def test_a_second_network_among_the_weights_is_found(spoil, finished, broken):
    of = finished["task2"]
    doubled = {**of.model.weights, **{f"second.{name}": weight for name, weight in of.model.weights.items()}}
    found = broken("task2", spoil("task2", model=TrainedModel(of.model.settings, doubled)))
    assert "its weights do not fit evidence" in str(found)


def test_a_pretrained_part_inside_the_model_is_found(finished, monkeypatch, broken):
    encoder = type("Encoder", (nn.Module,), {"__module__": "transformers.models.bert"})

    def with_encoder(*arguments):
        model = honest_restore(*arguments)
        model.encoder = encoder()
        return model

    monkeypatch.setattr(rules, "restore_model", with_encoder)
    assert "it has a part from transformers" in str(broken("task2", finished["task2"]))


def test_a_frozen_weight_is_found(finished, monkeypatch, broken):
    def frozen(*arguments):
        model = honest_restore(*arguments)
        next(model.parameters()).requires_grad_(False)
        return model

    monkeypatch.setattr(rules, "restore_model", frozen)
    assert "is frozen" in str(broken("task2", finished["task2"]))


def test_a_weight_that_is_not_finite_is_found(spoil, finished, broken):
    of = finished["task2"]
    name, weight = next(iter(of.model.weights.items()))
    bad = TrainedModel(of.model.settings, {**of.model.weights, name: np.full_like(weight, np.nan)})
    assert f"weight {name} is not finite" in str(broken("task2", spoil("task2", model=bad)))


def test_weights_of_another_evaluation_than_the_best_on_valid_are_found(spoil, finished, broken):
    of = finished["task1"]
    better = {**of.history[-1], "step": of.history[-1]["step"] + 1, "valid_auc": 0.99}
    found = broken("task1", spoil("task1", history=[*of.history, better]))
    assert "valid AUC 0.990000, but that of the predictions is 0." in str(found)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_predictions_averaged_with_another_run_are_found(split, spoil, finished, another, broken):
    of = finished["task2"]
    mean = (of.predictions["pctr"] + another["pctr"]) / 2
    averaged = of.predictions.assign(pctr=of.predictions["pctr"].where(of.predictions["split"] != split, mean))
    found = broken("task2", spoil("task2", predictions=averaged))
    assert "predicted again one differs by" in str(found)


def test_predictions_of_another_seed_are_found(spoil, another, broken):
    found = broken("task2", spoil("task2", predictions=another))
    assert "but that of the predictions is" in str(found)
    assert "predicted again one differs by" in str(found)


def test_predictions_calibrated_afterwards_are_found(spoil, finished, broken):
    of = finished["task2"]
    assert broken("task2", spoil("task2", predictions=of.predictions.assign(pctr=of.predictions["pctr"] * 0.9)))


def test_a_prediction_that_is_no_number_is_found(spoil, finished, broken):
    predictions = finished["task2"].predictions.copy()
    predictions.loc[predictions.index[-1], "pctr"] = np.nan
    assert "one differs by nan" in str(broken("task2", spoil("task2", predictions=predictions)))


def test_a_missing_prediction_is_found(spoil, finished, broken):
    found = broken("task2", spoil("task2", predictions=finished["task2"].predictions.iloc[:-1]))
    assert "199 predictions for 200 test rows" in str(found)


def test_raw_files_that_are_gone_leave_the_rules_about_them_broken(spoil, tmp_path, broken):
    found = broken("task2", spoil("task2", raw=type(spoil("task2").raw)(tmp_path)))
    assert len(found) == 3
    assert "cannot be read" in str(found)

"""What is searched, and from where."""

from pathlib import Path

import pytest
import yaml

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.models.settings import MODEL_PARAMS, CtrParams, FixedCtrParams, TrainingControls
from mmctr_kedro.tuning.settings import Range, TuneParams
from mmctr_kedro.tuning.spaces import FIXED, FIXED_STARTS, SPACES, the_space, the_starts, widened, with_values

CONF = Path(__file__).parents[2] / "conf"


def of(model: str) -> CtrParams:
    return CtrParams.model_validate({"model": {"name": model}})


def test_task1_searches_exactly_the_five_values_that_its_rules_leave_free():
    assert set(FIXED) == set(FixedCtrParams.model_fields) - set(TrainingControls.model_fields)
    assert len(FIXED) == 5


def test_task1_takes_no_other_setting_into_its_space():
    with pytest.raises(MmctrError, match=r"tune\.space\.rate_decay.*only .* may be tuned"):
        the_space(FixedCtrParams(), {"rate_decay": [0.1]})


@pytest.mark.parametrize("model", MODEL_PARAMS)
def test_every_model_has_a_ready_space_of_values_that_it_takes(model):
    ready = the_space(of(model), {})
    assert the_space(of(model), ready) == ready == SPACES.get(model, ready)


@pytest.mark.parametrize("params", [FixedCtrParams(), *map(of, MODEL_PARAMS)], ids=["fixed", *MODEL_PARAMS])
def test_every_start_is_complete_valid_and_in_the_space(params):
    ready = the_space(params, {})
    starts = the_starts(params, ready)
    wide = widened(ready, starts)
    for values in starts.values():
        with_values(params, values)
        assert values.keys() == ready.keys()
        for name, value in values.items():
            choices = wide[name]
            assert choices.low <= value <= choices.high if isinstance(choices, Range) else value in choices


@pytest.mark.parametrize("where", FIXED_STARTS)
def test_the_fixed_models_starts_are_those_of_conf(where):
    there = yaml.safe_load((CONF.parent / where / "parameters_ctr.yml").read_text())["task1"]["ctr"]
    assert FIXED_STARTS[where] == {"net_dropout": 0.1} | there


def test_a_space_may_be_written_as_settings_are_nested():
    space = TuneParams(space={"model": {"width": [64, 128]}, "learning_rate": {"low": 0.1, "high": 1}}).space
    assert space == {"model.width": [64, 128], "learning_rate": Range(low=0.1, high=1)}
    assert the_space(of("qin"), space) == space


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"batch_sise": [64]}, r"tune.space.batch_sise: 64 .*Did you mean 'batch_size'"),
        ({"batch_size": [64, 1]}, r"tune.space.batch_size: 1 .*greater than or equal to 2"),
        ({"model": {"widht": [64]}}, r"tune.space.model.widht: 64 .*Did you mean 'width'"),
        ({"learning_rate": {"low": -1, "high": 1}}, r"tune.space.learning_rate: -1.0 .*greater than 0"),
    ],
)
def test_what_a_setting_cannot_be_is_refused_before_any_trial(space, said):
    with pytest.raises(MmctrError, match=said):
        the_space(of("qin"), TuneParams(space=space).space)


def test_a_range_of_orders_of_magnitude_starts_above_zero():
    with pytest.raises(ValueError, match="with log 0 < low"):
        Range(low=0, high=1, log=True)

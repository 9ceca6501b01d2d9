"""The blocks in docs/encoders are valid, pinned, listed, and merge over conf/base as their README says."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from mmctr_kedro.encoders.settings import HubModelParams
from mmctr_kedro.fusion.settings import EmbeddingParams
from mmctr_kedro.pipelines.settings import check_settings
from mmctr_kedro.running.configuration import ConfigLoader
from mmctr_kedro.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "docs" / "encoders").glob("*.yml"))


def models(path: Path) -> list[HubModelParams]:
    params = EmbeddingParams(**yaml.safe_load(path.read_text())["embedding"])
    found = (params.text.sentence_transformer, params.image.sentence_transformer, params.image.vision_language)
    return [model for model in found if model]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_configuration_is_one_valid_block_whose_models_are_pinned_to_a_commit(path):
    assert list(yaml.safe_load(path.read_text())) == ["embedding"]
    for model in models(path):
        assert re.fullmatch("[0-9a-f]{40}", model.revision), model.model


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_configuration_names_its_source_and_has_its_row_in_the_readme(path):
    rows = (path.parent / "README.md").read_text().splitlines()
    assert [row for row in rows if row.startswith(f"| {path.name}")]
    assert re.search(r"arXiv:\d{4}\.\d{5}", path.read_text())
    assert not models(path) or "Never run here with the real weights" in path.read_text()


@pytest.mark.parametrize("env", ["local", "microlens"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_copied_configuration_is_merged_over_the_base(path, env, tmp_path):
    for part in ("base", env):
        shutil.copytree(
            ROOT / "conf" / part, tmp_path / part, ignore=shutil.ignore_patterns("parameters_embedding.yml")
        )
    shutil.copy(ROOT / "conf" / "base" / "parameters_embedding.yml", tmp_path / "base")
    shutil.copy(path, tmp_path / env / "parameters_embedding.yml")
    config = ConfigLoader(str(tmp_path), env=env, **CONFIG_LOADER_ARGS)
    check_settings(config["parameters"], config["globals"], {})
    merged = EmbeddingParams(**config["parameters"]["embedding"])
    assert merged.variant == config["globals"]["embedding"]["variant"]
    assert merged.model_dump(include={"text", "image"}) == EmbeddingParams(
        **yaml.safe_load(path.read_text())["embedding"]
    ).model_dump(include={"text", "image"})

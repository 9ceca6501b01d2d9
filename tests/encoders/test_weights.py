"""The libraries load safetensors alone, and strangers' code only where it is asked for: what they are told, they do."""

import contextlib
import json
import re
import shutil

import numpy as np
import pytest
from kedro.io import DatasetError

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.datasets.trained import SentenceTransformerDataset
from mmctr_kedro.encoders import IMAGE_ENCODERS, TEXT_ENCODERS
from mmctr_kedro.encoders.settings import ImageEncoderParams, SentenceTransformerParams, TextEncoderParams


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A tiny BERT as transformers saves it."""
    from transformers import BertConfig, BertModel, BertTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = tmp_path_factory.mktemp("models") / "bert"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(words))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=16, **sizes)).save_pretrained(folder)
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    logging.enable_progress_bar()
    return folder


@pytest.fixture
def folder(bert, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(bert, tmp_path / "bert")


def text_encoder(folder, **settings):
    chosen = {"model": str(folder), "device": "cpu", **settings}
    return TEXT_ENCODERS["sentence_transformer"](
        TextEncoderParams(name="sentence_transformer", sentence_transformer=chosen, threads=1)
    )


def image_encoder(folder):
    return IMAGE_ENCODERS["vision_language"](
        ImageEncoderParams(name="vision_language", vision_language={"model": str(folder), "device": "cpu"}, threads=1)
    )


def pickled(folder):
    """The same weights as people pickled them."""
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


@pytest.mark.parametrize("choose", [text_encoder, image_encoder])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pkl", "model.pt", "tf_model.h5"])
def test_weights_that_are_only_pickles_are_refused(choose, name, folder):
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(MmctrError, match="cannot be loaded"):
        choose(folder)


def test_a_pickle_beside_safetensors_is_left_alone(bert, folder):
    (folder / "pytorch_model.bin").write_bytes(b"no pickle at all")
    np.testing.assert_array_equal(text_encoder(folder).encode(["a b"]), text_encoder(bert).encode(["a b"]))


def code_of(folder):
    """Code beside a model, which leaves a file behind when it is run."""
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nclass Evil: pass\n")
    return folder / "ran"


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("choose", [text_encoder, image_encoder])
def test_code_that_comes_with_a_model_is_not_run(choose, name, folder):
    config, ran = json.loads((folder / name).read_text()), code_of(folder)
    (folder / name).write_text(json.dumps({**config, "auto_map": {"AutoModel": "evil.Evil"}}))
    with contextlib.suppress(MmctrError):  # a model that the libraries know is loaded by their own code
        choose(folder)
    assert not ran.exists()


@pytest.mark.parametrize("kind", ["evil.Evil", "os.system", "transformers.Evil", "sentence_transformers_evil.Evil"])
def test_a_module_that_is_not_of_sentence_transformers_is_refused_by_name(kind, folder):
    ran = code_of(folder)
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": kind}]))
    with pytest.raises(MmctrError, match="cannot be loaded"):
        text_encoder(folder)
    with pytest.raises(DatasetError):
        SentenceTransformerDataset(filepath=str(folder)).load()
    assert not ran.exists()


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000], ids=["cut", "no text", "deep"])
def test_a_configuration_that_is_no_json_is_a_message(content, folder):
    (folder / "config.json").write_bytes(content)
    with pytest.raises(MmctrError, match="cannot be loaded"):
        text_encoder(folder)


def test_safetensors_that_are_damaged_are_a_message(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MmctrError, match="cannot be loaded"):
        text_encoder(folder)


@pytest.mark.parametrize("revision", ["main", "v1.0", "86b5e09"])
def test_strangers_code_needs_a_whole_commit(revision):
    with pytest.raises(ValueError, match="revision must be a whole commit"):
        SentenceTransformerParams(model="a/b", revision=revision, trust_remote_code=True)
    assert SentenceTransformerParams(model="a/b", revision="0" * 40, trust_remote_code=True).trust_remote_code
    assert not SentenceTransformerParams(model="a/b", revision=revision).trust_remote_code


def test_the_libraries_are_told_the_same_of_a_hub_model(monkeypatch):
    """Nothing is fetched: what would be asked for is looked at."""
    asked = {}

    def stop(*_, **settings):
        asked.update(settings)
        raise OSError("no network")

    monkeypatch.setattr("sentence_transformers.SentenceTransformer.__init__", stop)
    with pytest.raises(MmctrError, match="cannot be loaded"):
        text_encoder("a/b", revision="0" * 40)
    assert asked["model_kwargs"]["use_safetensors"] is True
    assert asked["trust_remote_code"] is False
    assert asked["revision"] == "0" * 40


def test_no_line_of_ours_unpickles():
    """Every call that could: with weights_only, or without pickles. Processes of one training alone are handed what
    launch.py has just written for them, in a folder of its own.
    """
    from pathlib import Path

    import mmctr_kedro

    for path in Path(mmctr_kedro.__file__).parent.rglob("*.py"):
        code = path.read_text()
        if path.name == "launch.py":
            continue
        assert not re.search(r"^\s*(import|from) (pickle|joblib|dill|cloudpickle)\b", code, re.MULTILINE), path
        for call in re.findall(r"(?:torch|np)\.load\((?:[^()]|\([^()]*\))*\)", code):
            assert "weights_only=True" in call or "allow_pickle=False" in call, (path, call)

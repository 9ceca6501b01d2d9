"""Credentials reach no setting, no log, and nothing that a run or the viewer writes."""

import json
import logging
import random
import string
import subprocess
import sys

import pytest

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.running import credentials
from mmctr_kedro.running.credentials import BLOT, blot_out, redact_logs, redacted, refuse_credentials


def drawn(count: int, letters: str = string.ascii_letters + string.digits) -> str:
    """Made up as the test runs, so that no file of ours holds one."""
    return "".join(random.Random(count).choices(letters, k=count))


LOOKS = {
    "Hugging Face": "hf_" + drawn(34),
    "GitHub": "ghp_" + drawn(36),
    "AWS": "AK" + "IA" + drawn(16, string.ascii_uppercase),
    "GitLab": "glpat-" + drawn(20),
    "OpenAI": "sk-" + drawn(48),
    "Slack": "xoxb-" + drawn(24),
    "web token": f"eyJ{drawn(20)}.eyJ{drawn(30)}.{drawn(40)}",
    "address": f"https://user:{drawn(12)}@example.org/data",
    "private key": "-----BEGIN OPENSSH " + f"PRIVATE KEY-----\n{drawn(60)}\n-----END OPENSSH PRIVATE KEY-----",
}
# What a setting, a path or a manifest may well hold.
INNOCENT = [
    "sentence-transformers/LaBSE",
    "86b5e0934494bd15c9632b12f734a8a67f723594",
    "https://example.org/data:2",
    "https://example.org/a@b",
    "s3://bucket/task-1-with-a-very-long-name-indeed",
    "data/08_reporting/task1_and_2/submission.zip",
    "half_precision_and_more_words_in_a_row",
]


@pytest.fixture(autouse=True)
def _forgetting(monkeypatch):
    """Each test knows its own credentials, and leaves logging as it was."""
    monkeypatch.setattr(credentials, "_known", set())
    factory = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(factory)


@pytest.mark.parametrize("value", LOOKS.values(), ids=LOOKS)
def test_a_setting_that_looks_like_a_credential_is_refused_without_showing_it(value):
    with pytest.raises(MmctrError) as error:
        refuse_credentials({"embedding": {"text": {"prompt": f"a {value}"}}, "source": {"name": "x"}}, "--params")
    said = str(error.value)
    assert said.startswith("embedding.text.prompt in --params holds a credential")
    assert "conf/local/credentials.yml" in said
    assert value not in said


@pytest.mark.parametrize("key", ["hf_token", "API_KEY", "password", "client_secret", "aws_secret_access_key"])
def test_a_setting_named_as_a_credential_is_refused_whatever_it_looks_like(key):
    with pytest.raises(MmctrError, match=rf"store\.{key} in the parameters of conf/"):
        refuse_credentials({"store": {key: "correct horse"}}, "the parameters of conf/")


def test_a_credential_in_a_list_is_found():
    with pytest.raises(MmctrError, match="a in --params holds"):
        refuse_credentials({"a": ["x", {"b": LOOKS["GitHub"]}]}, "--params")


def test_ordinary_settings_pass():
    refuse_credentials({str(place): value for place, value in enumerate(INNOCENT)}, "conf/")
    refuse_credentials({"max_tokens": 256, "key": 3, "pooling": "lasttoken", "credentials": "my_store"}, "conf/")


@pytest.mark.parametrize("text", INNOCENT)
def test_what_is_no_credential_stays_as_it_is(text):
    assert redacted(text) == text


@pytest.mark.parametrize("value", LOOKS.values(), ids=LOOKS)
def test_what_looks_like_a_credential_is_blotted_out_of_a_text(value):
    clean = redacted(f"before {value} after")
    assert BLOT in clean
    assert clean.startswith("before ")
    assert clean.endswith(" after")
    assert drawn(12) not in clean
    assert value not in clean


def test_a_tree_keeps_its_shape_and_loses_what_the_process_knows(monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", "tok-of-the-environment")
    blot_out(["from-credentials.yml", "short"])
    tree = {
        "settings": {"path": "x/from-credentials.yml/y", "words": ["short", "tok-of-the-environment"]},
        "pair": ("tok-of-the-environment", 3),
        "seeds": [1, 2.5, None, True],
        "tok-of-the-environment": 1,
    }
    assert redacted(tree) == {
        "settings": {"path": f"x/{BLOT}/y", "words": ["short", BLOT]},
        "pair": (BLOT, 3),
        "seeds": [1, 2.5, None, True],
        BLOT: 1,
    }
    assert "tok-of-the-environment" in json.dumps(tree), "the tree itself is left alone"


def test_the_folder_a_shell_stands_in_is_no_credential(monkeypatch):
    monkeypatch.setenv("PWD", "/home/somebody/project")
    assert (
        redacted("/home/somebody/project/data/bundle.zip is missing")
        == "/home/somebody/project/data/bundle.zip is missing"
    )


def test_a_variable_that_only_sounds_like_a_credential_blots_out_nothing(monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "tokenizers")
    monkeypatch.setenv("KEYBOARD_LAYOUT", "keyboard-layout")
    monkeypatch.setenv("USE_TOKEN", "true")
    assert redacted("tokenizers keyboard-layout true") == "tokenizers keyboard-layout true"


@pytest.mark.parametrize("how", ["text", "argument", "exception", "misfit"])
def test_no_log_record_holds_a_credential(how, monkeypatch, caplog):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-of-aws")
    redact_logs()
    redact_logs()  # once is enough
    logger = logging.getLogger("some.library")
    if how == "text":
        logger.warning("asked with the-secret-of-aws")
    elif how == "argument":
        logger.warning("asked with %s and %d", {"key": "the-secret-of-aws"}, 3)
    elif how == "exception":
        try:
            raise OSError("refused: the-secret-of-aws")
        except OSError:
            logger.exception("asked")
    else:
        logger.warning("no place for it", "the-secret-of-aws")
    assert BLOT in caplog.text
    assert "the-secret-of-aws" not in caplog.text


def test_other_records_stay_as_they_are(caplog):
    redact_logs()
    logging.getLogger("some.library").warning("%s of %d", "three", 4)
    (record,) = caplog.records
    assert (record.msg, record.args) == ("%s of %d", ("three", 4))


@pytest.mark.parametrize("place", ["parameters", "globals", "catalog"])
def test_a_run_refuses_a_credential_in_conf_without_showing_it(place, project):
    secret = LOOKS["Hugging Face"]
    project.write(f"local/{place}.yml", f"raw_files: {{type: json.JSONDataset, filepath: 'x/{secret}'}}\n")
    result = project.kedro("run", "--pipeline", "simulate")
    assert result.returncode != 0
    assert f"raw_files.filepath in the {place} of conf/ holds a credential" in result.stderr
    assert secret not in result.stdout + result.stderr


def test_a_run_refuses_a_credential_on_the_command_line_without_showing_it(project):
    secret = LOOKS["GitHub"]
    result = project.kedro("run", "--pipeline", "simulate", "--params", f"ctr.model.net_droput={secret}")
    assert result.returncode != 0
    assert "ctr.model.net_droput in --params holds a credential" in result.stderr
    assert secret not in result.stdout + result.stderr


def test_an_error_shown_to_the_user_loses_the_credentials(project, tmp_path):
    """An error that names a file by a path with a secret in it."""
    secret = drawn(20)
    arguments = ["--pipeline", "data_processing", "--env", "smoke"]
    given = f"root={tmp_path}/{secret},source.name=challenge_files"
    result = project.kedro("run", *arguments, "--params", given, MY_SECRET=secret)
    assert result.returncode != 0
    assert f"{tmp_path}/{BLOT}/01_raw/challenge" in result.stderr
    assert secret not in result.stdout + result.stderr


RUN = """
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from pathlib import Path
import json, logging, os, sys
logging.getLogger().setLevel(logging.DEBUG)  # all that any library has to say
logging.getLogger("mmctr_kedro").setLevel(logging.DEBUG)
bootstrap_project(Path.cwd())
with KedroSession.create(env="smoke", runtime_params={"root": sys.argv[1]}) as session:
    session.load_context().catalog
    logging.getLogger("a.library").warning("store at %s", os.environ["AWS_SECRET_ACCESS_KEY"])
    logging.getLogger("a.library").warning("store at %s", session.load_context().config_loader["credentials"])
    session.run(pipeline_names=["task2"])
"""


@pytest.mark.slow
def test_no_file_log_or_viewer_page_of_a_run_holds_a_credential(project, tmp_path):
    secrets = {name: drawn(30 + place) for place, name in enumerate(("HF_TOKEN", "AWS_SECRET_ACCESS_KEY"))}
    stored = drawn(40)
    project.write("smoke/credentials.yml", f"my_store: {{key: '{stored}'}}\n")
    out, site = tmp_path / "out", project.path / "build"
    (tmp_path / "run.py").write_text(RUN)
    environment = {**secrets, "PYTHONPATH": str(project.path / "src"), "PATH": ""}
    run = subprocess.run(
        [sys.executable, str(tmp_path / "run.py"), str(out)],
        cwd=project.path,
        capture_output=True,
        env=environment,
        check=True,
    )
    assert run.stderr.count(BLOT.encode()) >= 2
    project.write("local/globals.yml", f"root: {out}\n")  # the viewer's command takes no environment
    project.write("local/credentials.yml", f"my_store: {{key: '{stored}'}}\n")
    built = project.kedro("viz", "build", "--include-previews", **secrets)
    assert built.returncode == 0, built.stderr
    written = [path for folder in (out, site, project.path / ".viz") for path in folder.rglob("*") if path.is_file()]
    assert len([path for path in written if site in path.parents and "nodes" in path.parts]) > 10
    texts = {"stdout": run.stdout, "stderr": run.stderr, "viz": (built.stdout + built.stderr).encode()}
    texts |= {str(path): path.read_bytes() for path in written}
    for secret in (*secrets.values(), stored):
        assert not [name for name, text in texts.items() if secret.encode() in text]

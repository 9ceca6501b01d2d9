"""The project as a whole: what is registered, what it costs to look, how it says a user's mistake."""

import os
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.project import configure_project, pipelines

from mmctr_kedro import __version__
from mmctr_kedro.cli import commands
from mmctr_kedro.models.settings import MODEL_PARAMS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def _project():
    configure_project("mmctr_kedro")


def python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_registered_pipelines_are_those_that_the_readme_runs():
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"--pipeline (\w+)", readme)) | {"__default__", "import_log"}
    parts_of_a_task = {"ctr", "reporting", "submission"}
    assert named | parts_of_a_task == set(pipelines)
    assert "`import_log`" in readme


@pytest.mark.parametrize("name", MODEL_PARAMS)
def test_every_model_has_its_row_in_the_readme_and_its_source(name):
    row = next(line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| `{name}`"))
    assert re.search(r"arXiv:\d{4}\.\d{5}|our own", row)
    opening = (ROOT / "src" / "mmctr_kedro" / "models" / f"{name}.py").read_text().split('"""')[1]
    assert "arXiv:" in opening


def test_task2_runs_no_encoder():
    assert not [node.name for node in pipelines["task2"].nodes if "embedding" in node.name]


def test_no_other_pipeline_tunes_an_encoder():
    assert [name for name, pipeline in pipelines.items() if "tuned_encoder" in pipeline.datasets()] == ["finetune"]


@pytest.mark.parametrize("task", ["task1", "task2", "task1_and_2"])
def test_a_task_makes_its_own_artifacts_and_no_other_tasks(task):
    others = {"task1", "task2", "task1_and_2"} - {task}
    made = pipelines[task].all_outputs()
    assert f"{task}.submission" in made
    assert not [name for name in made if name.split(".")[0] in others]


@pytest.mark.parametrize("name", ["__default__", "task1", "task2", "task1_and_2"])
def test_the_data_is_diagnosed_before_any_training(name):
    order = [node.name for node in pipelines[name].nodes]
    trainings = [place for place, node in enumerate(order) if node.endswith(".train")]
    assert trainings
    assert order.index("data_processing.diagnose") < min(trainings)


def test_namespaces_are_joined_by_contracts_alone():
    """Inside a namespace names carry its prefix; whatever crosses is a contract without one."""
    for name, pipeline in pipelines.items():
        for node in pipeline.nodes:
            for dataset in node.inputs:
                prefix = dataset.removeprefix("params:").split(".")[0]
                if prefix in {
                    "task1",
                    "task2",
                    "task1_and_2",
                    "embedding",
                    "data_processing",
                } and not dataset.startswith("params:"):
                    # What all tasks send in together is made of their bundles.
                    contract = node.namespace == "all_tasks" and dataset.endswith(".bundle")
                    assert contract or (node.namespace or prefix).startswith(prefix), (name, node.name, dataset)


def test_looking_at_the_registry_and_the_catalog_imports_no_heavy_library():
    code = (
        "from kedro.framework.startup import bootstrap_project; from pathlib import Path; import sys;"
        "from kedro.framework.project import pipelines; from kedro.framework.session import KedroSession;"
        "bootstrap_project(Path.cwd()); assert 'pandas' not in sys.modules, 'pandas';"
        "session = KedroSession.create(env='smoke'); catalog = session.load_context().catalog;"
        "[catalog.get(name) for pipeline in pipelines.values() for name in pipeline.datasets()];"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'sklearn', 'plotly', 'onnxruntime',"
        "'peft', 'accelerate', 'datasets'};"
        "sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)"
    )
    result = python("-c", code)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("command", [["kedro", "run"], ["mmctr_kedro"]])
def test_an_unknown_environment_is_a_message_not_a_traceback(command):
    result = python("-m", *command, "--env", "smok")
    assert result.returncode != 0
    assert result.stderr == "Error: There is no environment smok. Did you mean smoke?\n"
    assert "Traceback" not in result.stderr + result.stdout


@pytest.mark.parametrize(
    ("node", "missing"), [("task2.train", "clicks_train has no history_user.npy"), ("task1.predict", "No such file")]
)
def test_an_input_that_nobody_made_is_a_message_not_a_traceback(node, missing, tmp_path):
    result = python("-m", "mmctr_kedro", "--env", "smoke", "--nodes", node, "--params", f"root={tmp_path}")
    assert result.returncode != 0
    assert result.stderr.count(missing) == 1
    assert "kedro run" in result.stderr
    assert "resume" not in result.stderr
    assert "Repeat" not in result.stderr
    assert "Traceback" not in result.stderr + result.stdout


def test_the_lock_pins_every_dependency_and_leaves_torchs_build_to_the_machine():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = {line.split("==")[0] for line in lines}
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    assert not {re.split(r"[\[><=]", line)[0].lower() for line in wanted} - pinned
    assert "torch==2.13.0" in lines
    assert not [line for line in lines if line.startswith("-") or "://" in line or "--hash" in line]
    assert not {"torchvision", "timm", "open-clip-torch", "open_clip_torch"} & pinned


def test_pylock_has_the_locks_versions_with_public_addresses_and_digests():
    lock = {line.split(" ; ")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    packages = tomllib.loads((ROOT / "pylock.toml").read_text())["packages"]
    assert {f"{package['name']}=={package['version']}" for package in packages} < lock
    base = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    wanted = {re.split(r"[\[><=]", line)[0] for line in base} - {"torch"}
    assert wanted <= {package["name"] for package in packages}
    files = [file for package in packages for file in [*package["wheels"], package.get("sdist")] if file]
    assert [file for file in files if not file["url"].startswith("https://files.pythonhosted.org/packages/")] == []
    assert [file for file in files if len(file["hashes"]["sha256"]) != 64] == []


def test_what_messages_and_pages_say_to_install_is_an_extra():
    """By its packages' names, which work in a clone and beside an installed wheel: the project is on no index."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    packages = [" ".join(re.split("[><=]", line)[0] for line in lines) for lines in extras.values()]
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.py")]
    text = " ".join(page.read_text() for page in pages).replace('"uvicorn[standard]"', "uvicorn[standard]")
    said = set(re.findall(r"pip install -c requirements\.lock ([a-z][\w\[\] -]*[\w\]])(?= \(|[`\"'\n;,)]| &&)", text))
    assert {"ray", "optuna"} < said
    assert said <= set(packages)
    assert "mmctr_kedro[" not in text


def test_the_wheel_has_every_environment_of_conf():
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["mmctr_kedro"]
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "conf" / "README.md").read_text(), flags=re.MULTILINE)
    assert {f"template/conf/{name}/*.yml" for name in listed} == {name for name in packaged if name.endswith(".yml")}


def test_a_new_project_is_this_one_without_its_code():
    ours, new = (
        tomllib.loads((place / "pyproject.toml").read_text())["tool"]["kedro"]
        for place in (ROOT, ROOT / "src" / "mmctr_kedro" / "template")
    )
    assert new.items() <= ours.items()


def test_package_citation_and_changelog_name_one_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    # What the schema of cff-version 1.2.0 requires; `cffconvert --validate` has all of it.
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert (citation["cff-version"], citation["license"]) == ("1.2.0", "Apache-2.0")
    assert citation["version"] == version == __version__
    assert re.search(r"^## (\S+),", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1] == version


def test_telemetry_is_off():
    assert (ROOT / ".telemetry").read_text().strip() == "consent: false"


def test_outside_a_project_the_log_is_as_quiet_and_telemetry_off(tmp_path):
    """As of an installed wheel, which brings the project's logging.yml."""
    words = ["-m", "mmctr_kedro", "--conf-source", ROOT / "conf", "--env", "microlens", "--pipeline", "data_processing"]
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, env=os.environ | path)
    assert done.stderr.startswith("Error: 4 problems in the input files:")
    assert done.stderr.count("train.parquet is missing") == 1
    assert done.stdout == ""


def test_a_new_project_is_made_once(tmp_path):
    run = CliRunner().invoke
    made = run(commands, ["new", str(tmp_path / "x")])
    assert made.output == f"{tmp_path / 'x'} is a project. Next: cd {tmp_path / 'x'} && mmctr_kedro run --env smoke\n"
    assert (tmp_path / "x" / "conf" / "base" / "catalog.yml").is_file()
    assert [path.name for path in (tmp_path / "x" / "conf" / "local").iterdir()] == [".gitkeep"]
    again = run(commands, ["new", str(tmp_path / "x")])
    assert again.exit_code == 1
    assert again.output.startswith(f"Error: {tmp_path / 'x'} is there already. Name a folder that is new or empty:")


def test_an_unknown_command_is_met_with_the_one_that_was_meant():
    assert "Did you mean 'update'?" in CliRunner().invoke(commands, ["updat"]).output


def test_a_misspelt_setting_on_the_command_line_is_a_message_not_a_traceback():
    result = python("-m", "kedro", "run", "--env", "smoke", "--params", "ctr.model.net_droput=0.2")
    assert result.returncode != 0
    assert "Did you mean 'net_dropout'?" in result.stderr
    assert "Traceback" not in result.stderr + result.stdout

"""``kedro run`` with a user's mistake shown as a message, and beside it what else can be done with runs.

And ``commands``: the same and ``new`` as the command ``mmctr_kedro``, which needs no project around it.
"""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import CONTEXT_SETTINGS, KedroCliError
from kedro.framework.project import pipelines, settings
from kedro.framework.session import KedroSession
from kedro.io import CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline
from kedro.pipeline.pipeline import CircularDependencyError, OutputNotUniqueError
from kedro.utils import find_kedro_project, load_obj
from omegaconf import OmegaConf
from yaml import YAMLError

from mmctr_kedro import __version__
from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.common.params import TASKS
from mmctr_kedro.running.configuration import data_root
from mmctr_kedro.running.credentials import redacted
from mmctr_kedro.running.planner.plan import in_words
from mmctr_kedro.running.planner.recorder import Recorder

if TYPE_CHECKING:
    from mmctr_kedro.submission.runs import Run

# The challenge's users type --pipeline; Kedro 1.7 would have --pipelines, and takes both.
warnings.filterwarnings("ignore", message="Option '--pipeline' is deprecated")

TEMPLATE = Path(__file__).with_name("template")  # what `mmctr_kedro new` copies; its conf/ is the project's own
ORDERS: dict[str, Callable[[Run], Any]] = {
    "time": lambda run: run.manifest["run"]["time"],
    "auc": lambda run: run.metrics["auc"],
}
RUNNERS = ("SequentialRunner", "ParallelRunner")


class _Run(click.Command):
    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        with _plainly():
            try:
                return super().make_context(*arguments, **more)
            except (YAMLError, LookupError, AttributeError) as error:  # nothing else is read here
                why = f"{type(error).__name__}: {' '.join(str(error).split())}"
                raise MmctrError(f"--config: {why}. Expected `run:` and below it options: `env: smoke`.") from error

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        if twice := next((option.opts[0] for option in given if given.count(option) > 1), None):
            raise MmctrError(f"{twice} is given twice, and only the last would count. Give it once, with commas.")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        with _plainly():
            _refuse_unknown(ctx.params)
            return super().invoke(ctx)


class _OfARun(_Run):
    """A command on what a run has made: it is told the run's environment and parameters, and nothing to run."""

    def invoke(self, ctx: click.Context) -> object:
        with _plainly():
            _refuse_unknown_settings(ctx.params)
            return click.Command.invoke(self, ctx)


@contextmanager
def _plainly() -> Iterator[None]:
    """Say a user's mistake in one message, without traceback."""
    try:
        yield
    except Exception as error:
        raise click.ClickException(redacted(_said(error))) from error


def _said(error: Exception) -> str:
    """What a user's mistake is, in the words of whoever found it; anything else is raised as it came."""
    cause: BaseException | None = error
    while cause is not None:  # Kedro wraps what a dataset raises
        if isinstance(cause, MmctrError | MissingConfigException):
            return str(cause)
        if isinstance(cause, FileNotFoundError):
            return f"A file is missing: {cause}. Make it first; kedro run makes everything."
        cause = cause.__cause__
    if isinstance(error, DatasetError):  # of another process, where the cause stayed, or of a file that cannot be read
        return f"{error}\nWhat is missing or damaged can be made again: kedro run makes everything."
    if isinstance(error, KedroCliError):  # which Kedro would show without its message
        return str(error)
    raise error


def _refuse_unknown(given: dict[str, Any]) -> None:
    """Refuse names that there are not, and runners that give other results, before any work."""
    runner, parameters = given.get("runner") or RUNNERS[0], given.get("runner_params") or {}
    if runner.endswith("ThreadRunner") or given.get("is_async") or parameters.get("is_async"):
        raise MmctrError(
            "ThreadRunner and --async give other results: torch's seed and threads belong to the whole process. "
            f"Take {' or '.join(RUNNERS)}."
        )
    try:
        load_obj(runner, "kedro.runner")
    except (ImportError, AttributeError, ValueError):
        _known("runner", [runner], RUNNERS)
    _refuse_unknown_settings(given)
    _chosen(given)


def _refuse_unknown_settings(given: dict[str, Any]) -> None:
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    conf = Path(given["conf_source"] or project / settings.CONF_SOURCE)
    if not conf.exists():
        raise MmctrError(
            f"There are no settings: {conf} is missing. Make a project's folder and run in it: mmctr_kedro new FOLDER; "
            "or name a conf folder or archive: --conf-source path/to/conf"
        )
    if given["env"] and conf.is_dir():
        _known("environment", [given["env"]], [folder.name for folder in conf.iterdir() if folder.is_dir()])


def _chosen(given: dict[str, Any]) -> Pipeline:
    """The nodes that these options choose."""
    names = [given["pipeline"]] if given["pipeline"] else given["pipelines"] or ["__default__"]
    _known("pipeline", names, pipelines)
    try:
        whole = sum((pipelines[name] for name in names), Pipeline([]))
    except (OutputNotUniqueError, CircularDependencyError) as error:
        each = " && ".join(f"kedro run --pipeline {name}" for name in names)
        raise MmctrError(f"{' and '.join(names)} cannot run together: {error} One after the other: {each}") from error
    _known("node", [*given["node_names"], *given["from_nodes"], *given["to_nodes"]], [n.name for n in whole.nodes])
    _known("tag", given["tags"], {tag for node in whole.nodes for tag in node.tags})
    _known("namespace", given["namespaces"], {name for node in whole.nodes for name in node.namespace_prefixes})
    _known("dataset", [*given["from_inputs"], *given["to_outputs"], *given["load_versions"]], whole.datasets())
    filters = {key: given[key] for key in ("tags", "from_nodes", "to_nodes", "node_names", "from_inputs", "to_outputs")}
    try:
        return whole.filter(node_namespaces=given["namespaces"], **filters)
    except ValueError as error:  # of names that are there
        raise MmctrError(f"No node of {', '.join(names)} is left by these options together; leave one out.") from error


def _known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = sorted(known)
    for name in set(names) - set(known):
        # `train` is near to task1.train, though most of its letters are not there.
        near = get_close_matches(name, known, n=1) or [whole for whole in known if name in whole.split(".")][:3]
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known) or 'none'}"
        raise MmctrError(f"There is no {what} {name}. {hint}")


def _update(dry_run: bool, **given: Any) -> object:
    """Run the nodes whose results are stale, and keep the others'.

    A result is stale if the data, settings, source code or library versions that made it are others now, or if it is
    gone or was changed. Why each node runs is said. Takes what `kedro run` takes.
    """
    if not dry_run:
        assert kedro_run.callback is not None
        runner = "mmctr_kedro.running.planner.recorder.UpdateRunner"
        return kedro_run.callback(runner=runner, is_async=False, runner_params={}, only_missing_outputs=False, **given)
    session = KedroSession.create(env=given["env"], conf_source=given["conf_source"], runtime_params=given["params"])
    with session:
        _ = session.load_context().catalog  # Kedro makes it when asked, and the recorder its planner then
    planner = next(hooks.planner for hooks in settings.HOOKS if isinstance(hooks, Recorder))
    assert planner is not None
    for node, verdict, reasons in planner.plan(_chosen(given)):
        click.echo(in_words(node.name, verdict, reasons))
    planner.contents.save()
    return None


def _adopt(name: str, task: str, env: str | None, conf_source: str | None, params: dict[str, Any]) -> None:
    """Write what `--pipeline tune` found as the environment NAME.

    It is that of --env, or conf/local, with the settings found in place of its own. Another task's can be added to it.
    """
    session = KedroSession.create(env=env, conf_source=conf_source, runtime_params=params)
    with session:
        context = session.load_context()
        if not context.catalog.exists(f"{task}.tuning"):
            raise MmctrError(f"Nothing was found for {task} yet: kedro run --pipeline tune --namespaces {task}")
        conf, found = Path(context.config_loader.conf_source), context.catalog.load(f"{task}.tuning")
        folder = conf / name
        if not name.replace("-", "_").isidentifier() or name in ("base", "local", env):
            raise MmctrError(f"{name} is no name of a new environment. Choose another: kedro adopt tuned")
        shutil.copytree(conf / (env or "local"), folder, dirs_exist_ok=True, ignore=_there(folder))
        files = sorted(folder.glob("parameters*.yml"))
        own = next((file for file in files if task in OmegaConf.load(file)), folder / "parameters_ctr.yml")
        settings: Any = OmegaConf.to_container(OmegaConf.load(own)) if own.exists() else {}
        settings[task] = {**settings.get(task, {}), "ctr": found["settings"]}
        OmegaConf.save(OmegaConf.create(settings), own)
    click.echo(
        f"{own}: valid AUC {found['found']['auc']:.4f} with this seed. Next: kedro run --env {name} --pipeline {task}"
    )


def _there(folder: Path) -> Callable[[str, list[str]], list[str]]:
    """What a copy into ``folder`` leaves alone."""
    return lambda _, names: [name for name in names if (folder / name).exists() or not name.endswith(".yml")]


def _serve(env: str | None, conf_source: str | None, params: dict[str, Any], **chosen: Any) -> None:
    """Answer requests for pCTR by a task's model, the one that knows no leak.

    Takes a newer model in place when a run has made one. docs/serving.md has requests, limits and metrics.
    """
    try:
        import uvicorn

        from mmctr_kedro.serving.app import create_app
    except ImportError as error:
        packages = 'fastapi prometheus-client "uvicorn[standard]"'
        raise MmctrError(f"The service needs {error.name}: pip install -c requirements.lock {packages}") from error
    from mmctr_kedro.data.clicks import own_levels
    from mmctr_kedro.pipelines.ctr.pipeline import EMBEDDINGS
    from mmctr_kedro.serving.live_model import LiveModel, ModelAndItems
    from mmctr_kedro.serving.settings import ServeParams

    params["serve"] = params.get("serve", {}) | {name: value for name, value in chosen.items() if value is not None}
    session = KedroSession.create(env=env, conf_source=conf_source, runtime_params=params)
    with session:
        catalog = session.load_context().catalog
    serve = ServeParams.model_validate(catalog.load("params:serve"))
    names = [f"{serve.task}.leak_free_model", "item_tags", EMBEDDINGS[serve.task], "item_content", "clicks_train"]

    def load() -> ModelAndItems:
        model, tags, embedding, content, train = (catalog.load(name) for name in names)
        return ModelAndItems(model, tags, embedding, own_levels(content, train))

    app = create_app(serve, LiveModel(load, [catalog[name]._filepath for name in names]))
    quiet: dict[str, Any] = {"log_config": None, "log_level": "info", "access_log": False, "server_header": False}
    uvicorn.run(app, host=serve.host, port=serve.port, timeout_graceful_shutdown=math.ceil(serve.seconds), **quiet)


def _compare(
    runs: tuple[str, ...], task: str | None, env: str | None, conf_source: str | None, params: dict[str, Any]
) -> None:
    """Say what of RUNS differs from the first of them, and whether their AUCs do.

    A run is a folder of results (its newest), a bundle.zip, or an id as `kedro board` prints it. See docs/compare.md.
    """
    from mmctr_kedro.evaluation.slices import Rows, rows_of
    from mmctr_kedro.reports.comparison import compare, in_words, write_comparison
    from mmctr_kedro.submission.runs import find_runs

    if len(runs) < 2:
        raise MmctrError("Name two runs or more: kedro compare RUN RUN. kedro board lists them.")
    root, catalog = _data(env, conf_source, params)
    raw_files = Path(catalog["raw_files"]._filepath).relative_to(root)
    known: dict[str, Rows] = {}

    def rows(run: Run) -> Rows | None:
        """From the folder the run lies in, or from this environment's, if its valid file is the same."""
        sha256 = run.manifest["raw_files"]["files"]["valid"]["sha256"]
        for folder in [*run.path.resolve().parents, root]:
            if sha256 not in known and (folder / raw_files).is_file():
                _, of = _data(env, conf_source, params | {"root": str(folder)})
                if of.load("raw_files")["files"]["valid"]["sha256"] == sha256:
                    known[sha256] = rows_of(of.load("clicks_valid"), of.load("clicks_train"))
        return known.get(sha256)

    chosen = find_runs(runs, task, root)
    found = compare(chosen, [rows(run) for run in chosen])
    _show(in_words(found), write_comparison(found), root / "08_reporting" / "comparison.html")


def _board(folders: tuple[str, ...], by: str, env: str | None, conf_source: str | None, params: dict[str, Any]) -> None:
    """List the runs whose records lie in FOLDERS or deeper, by default in the folder of results.

    Below stand published figures for reference: others' numbers, on other data.
    """
    from mmctr_kedro.reports.board import board_rows, in_words, write_board
    from mmctr_kedro.submission.runs import runs_below

    root, _ = _data(env, conf_source, params)
    found = [runs_below(Path(folder).expanduser()) for folder in folders or [root]]
    runs = sorted((run for of, _ in found for run in of), key=ORDERS[by], reverse=True)
    rows, unread = board_rows(runs, root), [why for _, of in found for why in of]
    _show(in_words(rows, unread), write_board(rows, unread), root / "08_reporting" / "board.html")


def _data(env: str | None, conf_source: str | None, params: dict[str, Any]) -> tuple[Path, CatalogProtocol]:
    """The folder of results and the catalog on it."""
    session = KedroSession.create(env=env, conf_source=conf_source, runtime_params=params)
    with session:
        context = session.load_context()
        return data_root(context), context.catalog


def _show(words: str, html: str, path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    click.echo(f"\n{words}\n\npage  {shown}\n")


@_plainly()
def _new(folder: Path) -> None:
    """Make FOLDER a project: settings in conf/, a place for data, and nothing of the code, which is installed.

    It is a Kedro project like any other: in it `kedro run`, `kedro registry list` and `kedro viz run` work too.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise MmctrError(f"{folder} is there already. Name a folder that is new or empty: mmctr_kedro new FOLDER")
    own = shutil.ignore_patterns("local", "credentials*")  # of a clone, where conf/ is not only what git has
    shutil.copytree(TEMPLATE, folder, dirs_exist_ok=True, ignore=own)
    (folder / "gitignore").rename(folder / ".gitignore")  # in the package it would be git's
    (folder / "conf" / "local").mkdir()
    (folder / "conf" / "local" / ".gitkeep").touch()
    click.echo(f"{folder} is a project. Next: cd {folder} && mmctr_kedro run --env smoke")


class _Commands(click.Group):
    """With options alone it is `run`: so Kedro's deployments call a package."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ("--help", "-h", "--version"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


# Kedro finds `cli` and `run` by these names.
run = _Run(name="run", params=kedro_run.params, callback=kedro_run.callback, help=kedro_run.help)
_OURS = {"runner", "is_async", "runner_params", "only_missing_outputs"}  # options of kedro run that update decides
update = _Run(
    name="update",
    params=[
        *(option for option in kedro_run.params if option.name not in _OURS),
        click.Option(["--dry-run"], is_flag=True, help="Say what would run and why, and run nothing."),
    ],
    callback=_update,
    help=_update.__doc__,
)
_WHICH_RUN = [option for option in kedro_run.params if option.name in {"env", "conf_source", "params"}]
adopt = _OfARun(
    name="adopt",
    params=[
        click.Argument(["name"]),
        click.Option(["--task"], type=click.Choice(TASKS), default=TASKS[0], show_default=True),
        *_WHICH_RUN,
    ],
    callback=_adopt,
    help=_adopt.__doc__,
)
serve = _OfARun(
    name="serve",
    params=[
        *_WHICH_RUN,
        click.Option(["--task"], help="task1, task2 or task1_and_2, as serve.task; by default task2."),
        click.Option(["--host"], help="As serve.host; by default 127.0.0.1, this machine alone."),
        click.Option(["--port"], type=int, help="As serve.port; by default 8000."),
    ],
    callback=_serve,
    help=_serve.__doc__,
)
compare = _OfARun(
    name="compare",
    params=[
        click.Argument(["runs"], nargs=-1),
        click.Option(["--task"], type=click.Choice(TASKS), help="Which task, where a run has several."),
        *_WHICH_RUN,
    ],
    callback=_compare,
    help=_compare.__doc__,
)
board = _OfARun(
    name="board",
    params=[
        click.Argument(["folders"], nargs=-1),
        click.Option(["--by"], type=click.Choice(list(ORDERS)), default="time", show_default=True),
        *_WHICH_RUN,
    ],
    callback=_board,
    help=_board.__doc__,
)
new = click.Command(
    "new", params=[click.Argument(["folder"], type=click.Path(path_type=Path))], callback=_new, help=_new.__doc__
)
cli = click.Group("mmctr_kedro", [run, update, adopt, serve, compare, board], help="Commands of this project.")
commands = click.version_option(__version__)(
    _Commands("mmctr_kedro", {**cli.commands, "new": new}, context_settings=CONTEXT_SETTINGS, help=cli.help)
)

"""``kedro run`` as Kedro has it, except that a user's mistake is shown as a message, and ``kedro update`` beside it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import click
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.project import pipelines, settings
from kedro.framework.session import KedroSession
from kedro.pipeline import Pipeline

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.running.credentials import redacted
from mmctr_kedro.running.planner.plan import in_words
from mmctr_kedro.running.planner.recorder import Recorder

# The challenge's users type --pipeline; Kedro 1.7 would have --pipelines, and takes both.
warnings.filterwarnings("ignore", message="Option '--pipeline' is deprecated")

RUNNERS = ("SequentialRunner", "ParallelRunner")


class _Run(click.Command):
    def invoke(self, ctx: click.Context) -> object:
        try:
            _refuse_unknown(ctx.params)
            return super().invoke(ctx)
        except Exception as error:
            if (mistake := _users_mistake(error)) is None:
                raise
            raise click.ClickException(redacted(mistake)) from error


def _refuse_unknown(given: dict[str, Any]) -> None:
    """Refuse names that there are not, and runners that give other results, before any work."""
    runner, parameters = given.get("runner") or RUNNERS[0], given.get("runner_params") or {}
    if runner.endswith("ThreadRunner") or given.get("is_async") or parameters.get("is_async"):
        raise MmctrError(
            "ThreadRunner and --async give other results: torch's seed and threads belong to the whole process. "
            f"Take {' or '.join(RUNNERS)}."
        )
    _known("runner", [] if "." in runner else [runner], RUNNERS)  # one with a dot is somebody's own
    _known("pipeline", _wanted(given), pipelines)
    chosen = sum((pipelines[name] for name in _wanted(given)), Pipeline([]))
    nodes = [node.name for node in chosen.nodes]
    _known("node", [*given["node_names"], *given["from_nodes"], *given["to_nodes"]], nodes)
    _known("tag", given["tags"], {tag for node in chosen.nodes for tag in node.tags})
    _known("namespace", given["namespaces"], {name for node in chosen.nodes for name in node.namespace_prefixes})
    _known("dataset", [*given["from_inputs"], *given["to_outputs"]], chosen.datasets())


def _wanted(given: dict[str, Any]) -> list[str]:
    return [given["pipeline"]] if given["pipeline"] else given["pipelines"] or ["__default__"]


def _known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = sorted(known)
    for name in set(names) - set(known):
        # `train` is near to task1.train, though most of its letters are not there.
        near = get_close_matches(name, known, n=1) or [whole for whole in known if name in whole.split(".")][:3]
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known) or 'none'}"
        raise MmctrError(f"There is no {what} {name}. {hint}")


def _users_mistake(error: BaseException | None) -> str | None:
    """What a user can mend, from a chain of causes: Kedro wraps what a dataset raises."""
    while error is not None:
        if isinstance(error, MmctrError | MissingConfigException):  # the latter: an unknown --env
            return str(error)
        if isinstance(error, FileNotFoundError):
            return f"A file is missing: {error}. Make it first; kedro run makes everything."
        error = error.__cause__
    return None


@click.group(name="mmctr_kedro")
def cli() -> None:
    """Commands of this project."""


run = _Run(name="run", params=kedro_run.params, callback=kedro_run.callback, help=kedro_run.help)  # found by this name
cli.add_command(run)


def _update(dry_run: bool, **given: Any) -> object:
    """Run the nodes whose results are stale, and keep the others'.

    A result is stale if the data, settings, source code or library versions that made it are others now, or if it is
    gone or was changed. Why each node runs is said. Takes what `kedro run` takes.
    """
    if not dry_run:
        assert kedro_run.callback is not None
        runner = "mmctr_kedro.running.planner.recorder.UpdateRunner"
        return kedro_run.callback(runner=runner, is_async=False, runner_params={}, only_missing_outputs=False, **given)
    filters = {key: given[key] for key in ("tags", "from_nodes", "to_nodes", "node_names", "from_inputs", "to_outputs")}
    chosen = sum((pipelines[name] for name in _wanted(given)), Pipeline([])).filter(
        node_namespaces=given["namespaces"], **filters
    )
    session = KedroSession.create(env=given["env"], conf_source=given["conf_source"], runtime_params=given["params"])
    with session:
        _ = session.load_context().catalog  # Kedro makes it when asked, and the recorder its planner then
    planner = next(hooks.planner for hooks in settings.HOOKS if isinstance(hooks, Recorder))
    assert planner is not None
    for node, verdict, reasons in planner.plan(chosen):
        click.echo(in_words(node.name, verdict, reasons))
    planner.contents.save()
    return None


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
cli.add_command(update)

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
            cause: BaseException | None = error
            while cause is not None:  # Kedro wraps what a dataset raises
                if isinstance(cause, MmctrError | MissingConfigException):  # the latter: an unknown --env
                    raise click.ClickException(redacted(str(cause))) from error
                if isinstance(cause, FileNotFoundError):
                    said = f"A file is missing: {cause}. Make it first; kedro run makes everything."
                    raise click.ClickException(redacted(said)) from error
                cause = cause.__cause__
            raise


def _refuse_unknown(given: dict[str, Any]) -> None:
    """Refuse names that there are not, and runners that give other results, before any work."""
    runner, parameters = given.get("runner") or RUNNERS[0], given.get("runner_params") or {}
    if runner.endswith("ThreadRunner") or given.get("is_async") or parameters.get("is_async"):
        raise MmctrError(
            "ThreadRunner and --async give other results: torch's seed and threads belong to the whole process. "
            f"Take {' or '.join(RUNNERS)}."
        )
    _known("runner", [] if "." in runner else [runner], RUNNERS)  # one with a dot is somebody's own
    chosen = _chosen(given)
    _known("node", [*given["node_names"], *given["from_nodes"], *given["to_nodes"]], [n.name for n in chosen.nodes])
    _known("tag", given["tags"], {tag for node in chosen.nodes for tag in node.tags})
    _known("namespace", given["namespaces"], {name for node in chosen.nodes for name in node.namespace_prefixes})
    _known("dataset", [*given["from_inputs"], *given["to_outputs"]], chosen.datasets())


def _chosen(given: dict[str, Any]) -> Pipeline:
    names = [given["pipeline"]] if given["pipeline"] else given["pipelines"] or ["__default__"]
    _known("pipeline", names, pipelines)
    return sum((pipelines[name] for name in names), Pipeline([]))


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
    filters = {key: given[key] for key in ("tags", "from_nodes", "to_nodes", "node_names", "from_inputs", "to_outputs")}
    chosen = _chosen(given).filter(node_namespaces=given["namespaces"], **filters)
    session = KedroSession.create(env=given["env"], conf_source=given["conf_source"], runtime_params=given["params"])
    with session:
        _ = session.load_context().catalog  # Kedro makes it when asked, and the recorder its planner then
    planner = next(hooks.planner for hooks in settings.HOOKS if isinstance(hooks, Recorder))
    assert planner is not None
    for node, verdict, reasons in planner.plan(chosen):
        click.echo(in_words(node.name, verdict, reasons))
    planner.contents.save()
    return None


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
cli = click.Group("mmctr_kedro", [run, update], help="Commands of this project.")

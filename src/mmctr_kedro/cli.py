"""``kedro run`` as Kedro has it, except that a user's mistake is shown as a message, and ``kedro update`` beside it."""

from __future__ import annotations

import warnings
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


class _Run(click.Command):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if (mistake := _users_mistake(error)) is None:
                raise
            raise click.ClickException(redacted(mistake)) from error


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

    A result is stale if the data, settings, source code or locked versions that made it are others now, or if it is
    gone or was changed. Why each node runs is said. Takes what `kedro run` takes.
    """
    if dry_run:
        _print_plan(given)
        return None
    assert kedro_run.callback is not None
    runner = "mmctr_kedro.running.planner.runner.UpdateRunner"
    return kedro_run.callback(runner=runner, is_async=False, runner_params={}, only_missing_outputs=False, **given)


def _print_plan(given: dict[str, Any]) -> None:
    names = [given["pipeline"]] if given["pipeline"] else given["pipelines"] or ["__default__"]
    if unknown := set(names) - set(pipelines):
        raise MmctrError(f"There is no pipeline {', '.join(sorted(unknown))}. Known: {', '.join(sorted(pipelines))}")
    chosen = sum((pipelines[name] for name in names), Pipeline([])).filter(
        node_namespaces=given["namespaces"],
        **{key: given[key] for key in ("tags", "from_nodes", "to_nodes", "node_names", "from_inputs", "to_outputs")},
    )
    session = KedroSession.create(env=given["env"], conf_source=given["conf_source"], runtime_params=given["params"])
    with session:
        _ = session.load_context().catalog  # Kedro makes it when asked, and the recorder its planner then
    planner = next(hooks.planner for hooks in settings.HOOKS if isinstance(hooks, Recorder))
    assert planner is not None
    for node, verdict, reasons in planner.plan(chosen):
        click.echo(in_words(node.name, verdict, reasons))
    planner.remember()


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

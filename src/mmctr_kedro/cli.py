"""``kedro run`` as Kedro has it, except that a user's mistake is shown as a message, not as a traceback."""

from __future__ import annotations

import click
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run

from mmctr_kedro.errors import MmctrError


class _Run(click.Command):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if (mistake := _users_mistake(error)) is None:
                raise
            raise click.ClickException(str(mistake)) from error


def _users_mistake(error: BaseException | None) -> BaseException | None:
    """The project's own error, or that of an unknown --env, in a chain of causes: Kedro wraps what a dataset raises."""
    while error is not None and not isinstance(error, MmctrError | MissingConfigException):
        error = error.__cause__
    return error


@click.group(name="mmctr_kedro")
def cli() -> None:
    """Commands of this project."""


run = _Run(name="run", params=kedro_run.params, callback=kedro_run.callback, help=kedro_run.help)  # found by this name
cli.add_command(run)

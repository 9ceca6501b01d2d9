"""``kedro run`` as Kedro has it, except that a user's mistake is shown as a message, not as a traceback."""

from __future__ import annotations

import warnings

import click
import yaml
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run

from mmctr_kedro.credentials import redacted
from mmctr_kedro.errors import MmctrError
from mmctr_kedro.safety import unreadable

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
        if isinstance(error, yaml.YAMLError):  # of globals, which Kedro reads before any of ours is asked
            return unreadable("A file", error)
        if isinstance(error, FileNotFoundError):
            return f"A file is missing: {error}. Make it first; kedro run makes everything."
        error = error.__cause__
    return None


@click.group(name="mmctr_kedro")
def cli() -> None:
    """Commands of this project."""


run = _Run(name="run", params=kedro_run.params, callback=kedro_run.callback, help=kedro_run.help)  # found by this name
cli.add_command(run)

"""The project's own error class: everything a user can mend is reported through it."""

from collections.abc import Iterable


class MmctrError(ValueError):
    """A mistake in data or settings; the text names file, place, value, expectation and next step."""


class InvalidDataError(MmctrError):
    """All problems found in a set of input files, each naming file, column, row and expected value."""

    def __init__(self, problems: Iterable[str], advice: str = "") -> None:
        self.problems, self.advice = list(problems), advice
        super().__init__(self.problems, advice)  # what another process makes it of again

    def __str__(self) -> str:
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''} in the input files:"
        return "\n".join([count, *(f"  - {problem}" for problem in self.problems), self.advice]).rstrip()


class DiskError(MmctrError):
    """A disk that is full or may not be written; what was there before the write is there still."""

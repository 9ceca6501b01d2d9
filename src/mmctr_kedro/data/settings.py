"""Settings of where the data come from and how they are processed."""

from __future__ import annotations

import codecs
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from mmctr_kedro.common.params import Params

MostUnusable = Annotated[
    float, Field(ge=0, le=1, description="Share of the covers beyond which a run stops where they cannot be used.")
]


class SourceParams(Params):
    """Where the challenge's raw files come from."""

    name: Literal["simulated", "interaction_log", "challenge_files"] = Field(
        "simulated", description="A world simulated here, a log imported, or the challenge's own files."
    )


def _one_character(value: object) -> object:
    if value in ("tab", "\\t"):  # as a command line has it
        return "\t"
    if not value:
        raise ValueError(
            "expected one character and got none: the command line drops a bare tab, blank, comma or |. Write tab for "
            "a tab, and others in quotation marks: 'separator=\"|\"'"
        )
    if isinstance(value, str) and len(value) > 1:
        raise ValueError(
            f"expected one character, got {value!r}. Rewrite the file: sed 's/{value}/\\t/g' FILE > NEW, and set tab."
        )
    return value


class TextTableParams(Params):
    """How a text file of rows is written."""

    separator: Annotated[str, BeforeValidator(_one_character)] = Field(
        ",", description="One character; tab or \\t: a tab."
    )
    encoding: str = Field("utf-8", description="As Python names it: latin-1, cp1252, utf-16, gb18030, ...")
    quotes: bool | None = Field(
        None,
        description="Values may stand in quotation marks. None: they may, but where rows seem swallowed by a mark that "
        "is never closed, the file is refused. false: such marks are letters.",
    )
    columns: tuple[str, ...] | None = Field(None, description="Column names of a file without a header.")

    @field_validator("encoding")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return codecs.lookup(name).name
        except LookupError as error:
            raise ValueError(f"{error}; expected one that Python knows, such as latin-1 or utf-16") from error


class LogTableParams(TextTableParams):
    """The log of an interaction log: one interaction per row, or one user's items per row."""

    file: str = Field("interactions.csv", description="A file in log_folder.")
    format: Literal["rows", "sequences"] = Field(
        "rows", description="sequences: a user, a separator, the items in order of time with blanks or commas between."
    )
    user: str = Field("user", description="Column of users.")
    item: str = Field("item", description="Column of items.")
    timestamp: str = Field("timestamp", description="A column of numbers, in any one unit.")
    rating: str | None = Field(None, description="A column of numbers; read where positive_rating is set.")
    label: str | None = Field(None, description="A column of 0 and 1: rows are impressions, nothing is sampled.")

    @model_validator(mode="after")
    def _sequences_have_two_columns(self) -> LogTableParams:
        if self.format == "sequences" and (self.rating or self.label or self.columns):
            raise ValueError("format 'sequences' has a user and items only: unset rating, label and columns.")
        return self


class ItemTableParams(TextTableParams):
    """The item table of an interaction log: what items are called and tagged."""

    file: str = Field("items.csv", description="A file in log_folder.")
    item: str = Field("item", description="Column of items, as the log names them.")
    title: str = Field("title", description="Column of titles.")
    tags: str | None = Field("tags", description="Column of tags; None: there are none.")
    tag_separator: str = Field(
        "|", min_length=1, description="Between the tags of an item, where they are no list such as ['war', 'sea']."
    )
    no_tags: tuple[str, ...] = Field((), description="Words that stand for no tag at all.")


class InteractionLogParams(Params):
    """How a log of interactions becomes challenge files (pipeline ``import_log``). See docs/log.md."""

    seed: int = Field(20242025, ge=0, description="Of the users drawn and of sampled negatives.")
    log: LogTableParams = LogTableParams()
    items: ItemTableParams = ItemTableParams()
    ids: Literal["auto", "words"] = Field(
        "auto",
        description="auto: whole numbers, or else words, whatever quotation marks or .0 they are written with. words: "
        "exactly as they are written.",
    )
    most_unmatched: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Largest share of the log's items without a row in the item table, or of covers without an item.",
    )
    covers: str | None = Field(
        None,
        description="Folder or archive of covers in log_folder; None: item_images, as a folder or archive.",
    )
    most_unusable_covers: MostUnusable = 0.9
    memory_gib: float = Field(
        1, gt=0, description="What sorting and joining may hold in memory; the rest lies beside the output meanwhile."
    )
    positive_rating: float | None = Field(None, description="Ratings from here on are clicks; None: all are.")
    min_history: int = Field(3, ge=1, description="Clicks a user has before the first that becomes a row.")
    train_negatives: Literal["uniform", "popularity"] = Field(
        "uniform", description="Law of train's sampled negatives: all items alike, or by clicks in training time."
    )
    eval_negatives: Literal["uniform", "popularity"] = Field("popularity", description="The same of valid and test.")
    train_negatives_per_click: int = Field(3, ge=1, description="Rows without a click beside every click of train.")
    eval_negatives_per_click: int = Field(3, ge=1, description="The same of valid and test.")
    eval_clicks_per_user: int = Field(1, ge=1, description="A user's last n clicks: test; the n before: valid.")
    train_clicks_per_user: int | None = Field(None, ge=1, description="Newest clicks that become rows; None: all.")
    valid_users: int | None = Field(None, ge=1, description="Users drawn for valid; None: all.")
    test_users: int | None = Field(None, ge=1, description="Users drawn for test; None: all.")

    @model_validator(mode="after")
    def _one_kind_of_label(self) -> InteractionLogParams:
        if self.log.label and self.positive_rating is not None:
            raise ValueError("log.label and positive_rating both say what a click is: unset one of them.")
        if self.positive_rating is not None and not self.log.rating:
            raise ValueError("positive_rating needs a column of ratings: set log.rating to its name.")
        return self


class ProcessingParams(Params):
    """Validation and the contracts made from raw files (pipeline ``data_processing``)."""

    max_history: int = Field(64, ge=1, le=64, description="Newest clicks kept per history.")
    history_levels: bool = Field(
        False,
        description="Research: likes and views of every item, those of histories too, as two more tags. An added "
        "feature, which no submission may use.",
    )

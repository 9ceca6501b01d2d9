"""Settings of where the data come from and how they are processed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmctr_kedro.common.params import Params

MostUnusable = Annotated[
    float, Field(ge=0, le=1, description="Share of the covers beyond which a run stops where they cannot be used.")
]


class SourceParams(Params):
    """Where the challenge's raw files come from."""

    name: Literal["simulated", "interaction_log", "challenge_files"] = "simulated"


class LogTableParams(Params):
    """The log of an interaction log: one interaction per row, or one user's items per row."""

    file: str = Field("interactions.csv", description="A file in log_folder.")
    format: Literal["rows", "sequences"] = Field(
        "rows", description="sequences: a user, a separator, the items in order of time with blanks between."
    )
    separator: str = Field(",", min_length=1, max_length=1)
    columns: tuple[str, ...] | None = Field(None, description="Column names of a file without a header.")
    user: str = "user"
    item: str = "item"
    timestamp: str = Field("timestamp", description="A column of integers, in any unit.")
    rating: str | None = Field(None, description="A column of numbers; read where positive_rating is set.")
    label: str | None = Field(None, description="A column of 0 and 1: rows are impressions, nothing is sampled.")

    @model_validator(mode="after")
    def _sequences_have_two_columns(self) -> LogTableParams:
        if self.format == "sequences" and (self.rating or self.label or self.columns):
            raise ValueError("format 'sequences' has a user and items only: unset rating, label and columns.")
        return self


class ItemTableParams(Params):
    """The item table of an interaction log: what items are called and tagged."""

    file: str = Field("items.csv", description="A file in log_folder.")
    separator: str = Field(",", min_length=1, max_length=1)
    columns: tuple[str, ...] | None = Field(None, description="Column names of a file without a header.")
    item: str = "item"
    title: str = "title"
    tags: str | None = "tags"
    tag_separator: str = Field("|", min_length=1)
    no_tags: tuple[str, ...] = Field((), description="Words that stand for no tag at all.")


class InteractionLogParams(Params):
    """How a log of interactions becomes challenge files (pipeline ``import_log``). See docs/data.md."""

    seed: int = Field(20242025, ge=0)
    log: LogTableParams = LogTableParams()
    items: ItemTableParams = ItemTableParams()
    covers: str | None = Field(
        None,
        description="Folder or archive of covers in log_folder; None: item_images, as a folder or archive.",
    )
    most_unusable_covers: MostUnusable = 0.9
    positive_rating: float | None = Field(None, description="Ratings from here on are clicks; None: all are.")
    min_history: int = Field(3, ge=1, description="Clicks a user has before the first that becomes a row.")
    train_negatives: Literal["uniform", "popularity"] = "uniform"
    eval_negatives: Literal["uniform", "popularity"] = "popularity"
    train_negatives_per_click: int = Field(3, ge=1)
    eval_negatives_per_click: int = Field(3, ge=1)
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

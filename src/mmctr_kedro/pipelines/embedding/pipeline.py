"""Item content and covers to ``item_embedding``: the chosen variant alone, or every variant side by side."""

from functools import partial, update_wrapper

from kedro.pipeline import Node, Pipeline

from mmctr_kedro.fusion.settings import VARIANTS
from mmctr_kedro.pipelines.embedding import nodes
from mmctr_kedro.reports import embedding_figures as figures

_CONTENT = {"item_content", "covers", "challenge_folder", "vector_store"}
_CONTRACTS = {"item_tags", "provided_item_embedding", "clicks_train", "clicks_valid"}
_ENCODED = ("text_vectors", "image_vectors", "title_report")


def create_pipeline() -> Pipeline:
    """Encode titles and covers, fuse them as the chosen variant does, judge the result, and write item_info."""
    return Pipeline(
        [*_encoders(), *_variant(None)],
        namespace="embedding",
        inputs=_CONTENT | _CONTRACTS,
        outputs={"item_embedding", "cover_report"},
        parameters={"params:embedding": "params:embedding"},
    )


def create_variants_pipeline() -> Pipeline:
    """Encode once, then every variant in a namespace of its own."""
    settings = {"params:embedding": "params:embedding"}
    outside = _CONTRACTS | {"cover_report", "item_content", "covers", "challenge_folder"}
    inputs = {name: name for name in outside} | {name: f"embedding.{name}" for name in _ENCODED}
    variants = [
        Pipeline(_variant(variant), namespace=f"embedding.{variant}", inputs=inputs, parameters=settings)
        for variant in VARIANTS
    ]
    encoders = Pipeline(
        _encoders(), namespace="embedding", inputs=_CONTENT, outputs={"cover_report"}, parameters=settings
    )
    return sum(variants, encoders)


def _encoders() -> list[Node]:
    titles = ["params:embedding", "item_content", "challenge_folder", "vector_store"]
    covers = ["params:embedding", "item_content", "covers", "challenge_folder", "vector_store"]
    return [
        Node(nodes.encode_titles, titles, ["text_vectors", "title_report"], name="encode_titles", tags="encoder"),
        Node(nodes.encode_covers, covers, ["image_vectors", "cover_report"], name="encode_covers", tags="encoder"),
    ]


def _variant(variant: str | None) -> list[Node]:
    """Fuse, judge, draw and format one variant; None: the one that ``params:embedding`` chooses."""
    fuse = update_wrapper(partial(nodes.fuse, variant=variant), nodes.fuse)
    known = ["text_vectors", "image_vectors", "provided_item_embedding", "clicks_train", "challenge_folder"]
    fused = ["item_embedding", "modality_embeddings", "fusion_report"]
    judged_by = ["item_tags", "item_content", "clicks_train", "clicks_valid", "title_report", "cover_report"]
    gallery = ["item_content", "covers", "item_tags", "clicks_train", "item_embedding"]
    on_map = ["item_content", "item_tags", "clicks_train", "item_embedding"]
    return [
        Node(fuse, ["params:embedding", *known], fused, name="fuse"),
        Node(nodes.judge, ["params:embedding", *fused, *judged_by], "scorecard", name="judge"),
        Node(figures.draw_neighbours, gallery, "neighbours", name="draw_neighbours"),
        Node(figures.draw_map, on_map, "map", name="draw_map"),
        Node(nodes.format_item_info, ["item_embedding", "item_tags"], "item_info", name="format_item_info"),
    ]

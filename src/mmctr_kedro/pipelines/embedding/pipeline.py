"""Item content and covers to ``item_embedding``: the chosen variant alone, or every variant side by side."""

from kedro.pipeline import Node, Pipeline

from mmctr_kedro.fusion.settings import VARIANTS
from mmctr_kedro.pipelines import bound
from mmctr_kedro.pipelines.embedding import nodes
from mmctr_kedro.reports import embedding_page

_CONTENT = {"item_content", "covers", "challenge_folder"}
_CONTRACTS = {"item_tags", "provided_item_embedding", "clicks_train", "clicks_valid"}
_ENCODED = ("text_vectors", "image_vectors", "title_report", "cover_report")
_PARAMETERS = {"params:embedding", "params:vector_store"}


def create_pipeline() -> Pipeline:
    """Encode titles and covers, fuse them as the chosen variant does, judge the result, and write item_info."""
    return Pipeline(
        [*_encoders(), *_variant(None)],
        namespace="embedding",
        inputs=_CONTENT | _CONTRACTS,
        outputs={"item_embedding"},
        parameters=_PARAMETERS,
    )


def create_variants_pipeline() -> Pipeline:
    """Encode once, then every variant in a namespace of its own."""
    inputs = {name: name for name in _CONTRACTS | _CONTENT} | {name: f"embedding.{name}" for name in _ENCODED}
    variants = [
        Pipeline(_variant(variant), namespace=f"embedding.{variant}", inputs=inputs, parameters={"params:embedding"})
        for variant in VARIANTS
    ]
    encoders = Pipeline(_encoders(), namespace="embedding", inputs=_CONTENT, parameters=_PARAMETERS)
    return sum(variants, encoders)


def _encoders() -> list[Node]:
    titles = ["params:embedding", "item_content", "challenge_folder", "params:vector_store"]
    covers = ["params:embedding", "item_content", "covers", "challenge_folder", "params:vector_store"]
    return [
        Node(nodes.encode_titles, titles, ["text_vectors", "title_report"], name="encode_titles", tags="encoder"),
        Node(nodes.encode_covers, covers, ["image_vectors", "cover_report"], name="encode_covers", tags="encoder"),
    ]


def _variant(variant: str | None) -> list[Node]:
    """Fuse, judge, show and format one variant; None: the one that ``params:embedding`` chooses."""
    fuse = bound(nodes.fuse, variant=variant)
    known = ["text_vectors", "image_vectors", "provided_item_embedding", "clicks_train", "challenge_folder"]
    fused = ["item_embedding", "modality_embeddings", "fusion_report"]
    judged_by = ["item_tags", "item_content", "clicks_train", "clicks_valid", "title_report", "cover_report"]
    seen = ["item_content", "item_tags", "clicks_train", "item_embedding"]
    return [
        Node(fuse, ["params:embedding", *known], fused, name="fuse"),
        Node(nodes.judge, ["params:embedding", *fused, *judged_by], "scorecard", name="judge"),
        Node(embedding_page.draw_map, seen, "map", name="draw_map"),
        Node(
            embedding_page.write_embedding_report,
            [*seen, "covers", "map", "scorecard", "cover_report"],
            "report",
            name="write_report",
        ),
        Node(nodes.format_item_info, ["item_embedding", "item_tags"], "item_info", name="format_item_info"),
    ]

"""The pipeline ``embedding``: item content and covers to ``item_embedding`` and its item_info.parquet."""

from kedro.pipeline import Node, Pipeline

from mmctr_kedro.pipelines.embedding import nodes


def create_pipeline() -> Pipeline:
    """Encode titles and covers, fuse them, and write the result in the organisers' format too."""
    return Pipeline(
        [
            Node(
                nodes.encode_titles,
                ["params:embedding", "item_content"],
                ["text_vectors", "title_report"],
                name="encode_titles",
                tags="encoder",
            ),
            Node(
                nodes.encode_covers,
                ["params:embedding", "item_content", "covers"],
                ["image_vectors", "cover_report"],
                name="encode_covers",
                tags="encoder",
            ),
            Node(
                nodes.fuse,
                ["params:embedding", "text_vectors", "image_vectors"],
                "item_embedding",
                name="fuse",
            ),
            Node(
                nodes.format_item_info,
                ["item_embedding", "item_tags"],
                "item_info",
                name="format_item_info",
            ),
        ],
        namespace="embedding",
        inputs={"item_content", "item_tags", "covers"},
        outputs={"item_embedding", "cover_report"},
        parameters={"params:embedding": "params:embedding"},
    )

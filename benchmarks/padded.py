"""The published winners as published: every history padded to 64 positions, every layer over all of them.

What ``models.transformer_dcn`` and ``models.qin`` are compared with, in tests (same numbers) and in benchmarks
(speed). Plain torch, written from the papers' descriptions and the published code's behaviour; a model takes
``PaddedRows``, which is how the organisers' loader feeds FuxiCTR, and its weights from one of ours::

    reference = PaddedQin(ours)
    logits = reference(padded_rows(batch, item_tags, item_embedding))

B rows, L = 64 positions, D item width, E = 2 D token width.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from mmctr_kedro.data.clicks import LEVELS, Batch
from mmctr_kedro.models.layers import CtrModel, ItemVectors
from mmctr_kedro.models.qin import Qin
from mmctr_kedro.models.transformer_dcn import TransformerDcn

LENGTH = 64


@dataclass(frozen=True)
class PaddedRows:
    """B rows; of each, the items of 64 left-padded positions, oldest first, and then the target's."""

    item: Tensor  # [B * 65] int64, 0 = padding
    tags: Tensor  # [B * 65, 5] int64, 0 = no tag
    embedding: Tensor  # [B * 65, D_content]
    likes_level: Tensor  # [B] int64
    views_level: Tensor  # [B] int64
    real: Tensor  # [B, 64] bool, True = a click

    def __len__(self) -> int:
        return len(self.likes_level)

    def to(self, device: torch.device) -> PaddedRows:
        return PaddedRows(**{name: value.to(device) for name, value in vars(self).items()})


def padded_rows(batch: Batch, item_tags: Tensor, item_embedding: Tensor) -> PaddedRows:
    """A jagged batch with its padding back; of a longer history the newest 64."""
    clicks = batch.offsets.diff()
    row = torch.repeat_interleave(torch.arange(len(clicks)), clicks)
    age = batch.offsets[1:][row] - 1 - torch.arange(len(row))  # 0 = newest
    kept = age < LENGTH
    items = torch.zeros(len(clicks), LENGTH + 1, dtype=torch.int64)
    items[row[kept], LENGTH - 1 - age[kept]] = batch.items[batch.history][kept]
    items[:, LENGTH] = batch.items[batch.target]
    flat = items.flatten()
    return PaddedRows(
        item=flat,
        tags=item_tags[flat].long(),
        embedding=item_embedding[flat],
        likes_level=batch.likes_level,
        views_level=batch.views_level,
        real=items[:, :LENGTH] > 0,
    )


class PaddedItems(nn.Module):
    """Levels of the rows, vectors of the target and of every position, padding included."""

    def __init__(self, items: ItemVectors, width: int) -> None:
        super().__init__()
        content = items.content.weight.shape[0]
        self.item = nn.Embedding(items.item.num_embeddings, width, padding_idx=0)
        self.tag = nn.Embedding(items.tag.num_embeddings, width, padding_idx=0)
        self.content = nn.Linear(content, content, bias=False)
        self.likes_level = nn.Embedding(LEVELS, width, padding_idx=0)
        self.views_level = nn.Embedding(LEVELS, width, padding_idx=0)

    def forward(self, rows: PaddedRows) -> tuple[Tensor, Tensor, Tensor]:
        tagged = (rows.tags > 0).unsqueeze(-1)
        tags = (self.tag(rows.tags) * tagged).sum(1) / tagged.sum(1).clamp(min=1)
        vectors = torch.cat([self.item(rows.item), tags, self.content(rows.embedding)], dim=-1)
        levels = torch.cat([self.likes_level(rows.likes_level), self.views_level(rows.views_level)], dim=-1)
        vectors = vectors.view(len(rows), LENGTH + 1, -1)
        return levels, vectors[:, -1], vectors[:, :-1]


def item_weights(ours: Qin | TransformerDcn) -> dict[str, Tensor]:
    return {
        "items.item.weight": ours.items.item.weight,
        "items.tag.weight": ours.items.tag.weight,
        "items.content.weight": ours.items.content.weight,
        "items.likes_level.weight": ours.likes_level.weight,
        "items.views_level.weight": ours.views_level.weight,
    }


class PaddedModel(nn.Module):
    """A published model that starts from the weights of ours."""

    @staticmethod
    def weights_of(ours: CtrModel) -> dict[str, Tensor]:
        """Our weights under this model's names; differentiable, so that gradients can be compared."""
        raise NotImplementedError

    def take_weights(self, ours: CtrModel) -> None:
        self.load_state_dict({name: value.detach() for name, value in self.weights_of(ours).items()})


class PaddedTransformerDcn(PaddedModel):
    """arXiv:2505.03543; ``published_mask``, ``last`` and all widths are those of ``ours``."""

    def __init__(self, ours: TransformerDcn) -> None:
        super().__init__()
        params = ours.params
        self.items = PaddedItems(ours.items, params.width)
        token = 2 * ours.items.width
        layer = nn.TransformerEncoderLayer(
            token, params.heads, params.feed_forward, params.encoder_dropout, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, params.layers, enable_nested_tensor=False)
        self.pooled = nn.Linear(token, token)
        width = 2 * params.width + ours.items.width + (params.last + 1) * token
        self.cross = nn.ModuleList(nn.Linear(width, width) for _ in range(params.cross_layers))
        self.dnn = _relu_layers([width, *params.dnn_units], params.net_dropout)
        joined = width + params.dnn_units[-1]
        self.mlp = nn.Sequential(*_relu_layers([joined, *params.head_units], 0.0), nn.Linear(params.head_units[-1], 1))
        self.last, self.published_mask = params.last, params.published_mask
        self.take_weights(ours)

    def forward(self, rows: PaddedRows) -> Tensor:
        levels, target_BD, history_BLD = self.items(rows)
        tokens_BLE = torch.cat([history_BLD, target_BD.unsqueeze(1).expand_as(history_BLD)], dim=-1)
        ignored_BL = rows.real if self.published_mask else ~rows.real
        ignored_BL = ignored_BL.clone()
        ignored_BL[ignored_BL.all(-1), -1] = False
        encoded_BLE = self.encoder(tokens_BLE, src_key_padding_mask=ignored_BL)
        encoded_BLE = encoded_BLE.masked_fill(ignored_BL.unsqueeze(-1), 0.0)
        longest_BE = encoded_BLE.masked_fill(ignored_BL.unsqueeze(-1), -1e9).amax(1)
        newest = encoded_BLE[:, -self.last :].flatten(1)
        x_BX = torch.cat([levels, target_BD, newest, self.pooled(longest_BE)], dim=-1)
        crossed = x_BX
        for layer in self.cross:
            crossed = crossed + x_BX * layer(crossed)
        return self.mlp(torch.cat([crossed, self.dnn(x_BX)], dim=-1)).squeeze(-1)

    @staticmethod
    def weights_of(ours: TransformerDcn) -> dict[str, Tensor]:
        weights = item_weights(ours)
        names = {
            "project.weight": "self_attn.in_proj_weight",
            "project.bias": "self_attn.in_proj_bias",
            "output": "self_attn.out_proj",
            "widen": "linear1",
            "narrow": "linear2",
            "norm_attention": "norm1",
            "norm_feed_forward": "norm2",
        }
        for name, value in ours.encoder.named_parameters():
            layer, part = name.split(".", 1)
            theirs = names.get(part) or f"{names[part.split('.')[0]]}.{part.split('.')[1]}"
            weights[f"encoder.layers.{layer}.{theirs}"] = value
        weights |= {f"pooled.{name}": value for name, value in ours.pooled.named_parameters()}
        place = _published_place(ours)
        for at, layer in enumerate(ours.head.cross):
            weights[f"cross.{at}.weight"] = layer.weight[place][:, place]
            weights[f"cross.{at}.bias"] = layer.bias[place]
        tail = torch.arange(len(place), len(place) + ours.head.dnn[-1].out_features)
        for name, layers, step, columns in (
            ("dnn", ours.head.dnn, 3, place),
            ("mlp", ours.head.mlp, 3, torch.cat([place, tail])),
        ):
            for at, layer in enumerate(layers):
                weights[f"{name}.{step * at}.weight"] = layer.weight if at else layer.weight[:, columns]
                weights[f"{name}.{step * at}.bias"] = layer.bias
        return weights


def _published_place(ours: TransformerDcn) -> Tensor:
    """For each column of the published head's input, the column of ours: oldest click first, the max last."""
    token, always = ours.head.token, ours.head.always
    columns = torch.arange(always + ours.params.last * token)
    slots = columns[always:].view(ours.params.last, token).flip(0).flatten()
    return torch.cat([columns[: always - token], slots, columns[always - token : always]])


def _relu_layers(units: list[int], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(units):
        layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


class PaddedQin(PaddedModel):
    """arXiv:2504.17699; all widths are those of ``ours``."""

    def __init__(self, ours: Qin) -> None:
        super().__init__()
        params = ours.params
        width = ours.items.width
        self.items = PaddedItems(ours.items, params.width)
        self.query = nn.Linear(width, 2 * width, bias=False)
        self.key = nn.Linear(width, 2 * width, bias=False)
        self.value = nn.Linear(width, 2 * width, bias=False)
        self.output = nn.Linear(2 * width, width, bias=False)
        self.rows, joined = params.rows, 2 * params.width + 2 * width
        self.linears = nn.ModuleList(nn.Linear(joined, params.rows * joined) for _ in range(params.layers))
        self.norms = nn.ModuleList(nn.BatchNorm1d(joined) for _ in range(params.layers))
        self.activations = nn.ModuleList(nn.PReLU() for _ in range(params.layers))
        self.dropout = nn.Dropout(params.net_dropout)
        self.last = nn.Linear(joined, 1)
        self.take_weights(ours)

    def forward(self, rows: PaddedRows) -> Tensor:
        levels, target_BD, history_BLD = self.items(rows)
        query, key, value = self.query(target_BD).unsqueeze(1), self.key(history_BLD), self.value(history_BLD)
        scores = query @ key.transpose(1, 2) / key.shape[-1] ** 0.5 * rows.real.unsqueeze(1)
        pooled_BD = self.output((scores.relu() @ value).squeeze(1)) + target_BD
        x_BX = torch.cat([levels, target_BD, pooled_BD], dim=-1)
        for linear, norm, activation in zip(self.linears, self.norms, self.activations, strict=True):
            rows_BRX = self.dropout(linear(x_BX)).view(len(x_BX), self.rows, -1)
            product_BX = torch.einsum("bx,brx->bx", x_BX, rows_BRX)
            x_BX = x_BX + self.dropout(activation(norm(product_BX)))
        return self.last(x_BX).squeeze(-1)

    @staticmethod
    def weights_of(ours: Qin) -> dict[str, Tensor]:
        weights = item_weights(ours)
        weights |= dict(ours.attention.named_parameters())
        for at, layer in enumerate(ours.quadratic):
            for name, part in (("linears", layer.linear), ("norms", layer.norm), ("activations", layer.activation)):
                weights |= {f"{name}.{at}.{key}": value for key, value in part.named_parameters()}
                weights |= {f"{name}.{at}.{key}": value for key, value in part.named_buffers()}
        return weights | {f"last.{name}": value for name, value in ours.last.named_parameters()}


PADDED: dict[str, type[PaddedModel]] = {"transformer_dcn": PaddedTransformerDcn, "qin": PaddedQin}

"""The embedding columns of a world, computed from written words and drawn pixels and from nothing else.

They stand in for BERT, CLIP and the organisers' PCA. Random projections are fixed by the words themselves or
by a constant, so two worlds give the same word the same direction.
"""

from __future__ import annotations

import re
import zlib
from itertools import chain

import numpy as np
from threadpoolctl import threadpool_limits

from mmctr_kedro.data.challenge import EMBEDDING_WIDTH

TEXT_WIDTH, IMAGE_WIDTH = 768, 1024
THUMBNAIL = 32  # width and height of the pictures that image vectors are computed from
_PROJECTION_SEED = 20_250_128
_WORD = re.compile(r"\w+")


def text_vectors(documents: list[str]) -> np.ndarray:
    """TF-IDF over words, each word a fixed random direction: ``[N, 768]`` float32, rows near unit length."""
    from scipy import sparse

    tokens = [_WORD.findall(document.lower()) for document in documents]
    words, column = np.unique(np.array(list(chain.from_iterable(tokens)), dtype=str), return_inverse=True)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in tokens])])
    counts = sparse.csr_array((np.ones(len(column)), column, offsets), shape=(len(documents), len(words)))
    counts.sum_duplicates()
    frequency = np.bincount(counts.indices, minlength=len(words))
    weighted = counts @ sparse.diags_array(np.log((1 + len(documents)) / (1 + frequency)) ** 2)
    length = np.sqrt(weighted.multiply(weighted).sum(axis=1))
    directions = np.zeros((len(words), TEXT_WIDTH))
    for place, word in enumerate(words):
        rng = np.random.Generator(np.random.PCG64(zlib.crc32(word.encode())))
        directions[place] = rng.standard_normal(TEXT_WIDTH) / np.sqrt(TEXT_WIDTH)
    return ((weighted @ directions) / np.maximum(length, 1e-9)[:, None]).astype(np.float32)


def image_statistics(pictures: np.ndarray) -> np.ndarray:
    """Colour, edge and texture statistics of thumbnails ``[n, 32, 32, 3]`` uint8: ``[n, d]`` float32."""
    count = len(pictures)
    pixels = pictures.astype(np.float32) / 255
    flat, grey = pixels.reshape(count, -1, 3), pixels.mean(axis=3)
    # Square root of the share of pixels in each of 4 x 4 x 4 colours.
    level = pictures.reshape(count, -1, 3).astype(np.int64) >> 6
    colour = level @ np.array([16, 4, 1]) + 64 * np.arange(count)[:, None]
    counts = np.bincount(colour.ravel(), minlength=64 * count).reshape(-1, 64)
    colours = np.sqrt(counts / colour.shape[1], dtype=np.float32)
    # How strong edges are in each of 8 directions.
    down, across = grey[:, 1:, :-1] - grey[:, :-1, :-1], grey[:, :-1, 1:] - grey[:, :-1, :-1]
    direction = ((np.arctan2(down, across) / np.pi + 1) * 4).astype(np.int64) % 8
    place = direction.reshape(count, -1) + 8 * np.arange(count)[:, None]
    strength = np.bincount(place.ravel(), weights=np.hypot(down, across).ravel(), minlength=8 * count)
    edges = np.sqrt(strength.reshape(-1, 8) / place.shape[1]).astype(np.float32)
    # Log energy of the lower spatial frequencies, 15 x 8, wherever the pattern lies.
    energy = np.abs(np.fft.rfft2(grey - grey.mean(axis=(1, 2), keepdims=True), axes=(1, 2))).astype(np.float32)
    spectrum = np.log(0.5 + np.roll(energy, 7, axis=1)[:, :15, :8]).reshape(count, -1)
    return np.concatenate([flat.mean(axis=1), flat.std(axis=1), colours, edges, spectrum], axis=1)


def image_vectors(statistics: np.ndarray) -> np.ndarray:
    """Standardised statistics under a fixed random projection: ``[N, 1024]`` float32."""
    rng = np.random.Generator(np.random.PCG64(_PROJECTION_SEED))
    projection = rng.standard_normal((statistics.shape[1], IMAGE_WIDTH)) / np.sqrt(statistics.shape[1])
    with threadpool_limits(1):  # another number of threads adds in another order
        return (_standardise(statistics) @ projection.astype(np.float32)).astype(np.float32)


def item_vectors(text: np.ndarray, image: np.ndarray) -> np.ndarray:
    """PCA to 128 of both, concatenated and standardised, with mean square 1: ``[N, 128]`` float32."""
    features = np.concatenate([_standardise(text), _standardise(image)], axis=1)
    with threadpool_limits(1):
        components = features @ _principal_axes(features)
    components /= np.sqrt(np.mean(np.square(components, dtype=np.float64))) + 1e-12
    out = np.zeros((len(features), EMBEDDING_WIDTH), dtype=np.float32)
    out[:, : components.shape[1]] = np.round(components, 5)
    return out


def _principal_axes(features: np.ndarray) -> np.ndarray:
    """The first 128 principal axes of centred features ``[N, d]``, largest first: ``[d, at most 128]``."""
    count, width = features.shape
    if count <= width:  # the same axes from the smaller of the two Gram matrices
        _, vectors = np.linalg.eigh(features.astype(np.float64) @ features.T)
        axes = features.T @ vectors[:, ::-1][:, : min(EMBEDDING_WIDTH, count - 1)]
        axes /= np.maximum(np.linalg.norm(axes, axis=0), 1e-9)  # items may share all they have
    else:
        blocks = (features[start : start + 8192].astype(np.float64) for start in range(0, count, 8192))
        covariance = sum((block.T @ block for block in blocks), np.zeros((width, width)))
        axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :EMBEDDING_WIDTH]
    strongest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    return (axes * np.sign(strongest)).astype(np.float32)


def _standardise(features: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance per column; a constant column becomes zeros."""
    mean = features.mean(axis=0, dtype=np.float64)
    spread = features.std(axis=0, dtype=np.float64)
    scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0)
    return ((features - mean.astype(np.float32)) * scale.astype(np.float32)).astype(np.float32)


def item_vector_variants(vectors: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of item_emb: v3 itself, at unit length (v1), whitened (v2), in 4 significant bits (e4)."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    spread = vectors.std(axis=0, keepdims=True)
    fraction, exponent = np.frexp(vectors)
    return {
        "v1": vectors / np.maximum(length, 1e-9),
        "v2": vectors / np.where(spread > 0, spread, 1),
        "v3": vectors,
        "e4": np.ldexp(np.rint(fraction * 16) / 16, exponent).astype(np.float32),
    }

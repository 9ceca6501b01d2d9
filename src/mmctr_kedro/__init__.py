"""Multimodal CTR prediction: item embeddings, CTR models and MM-CTR submissions, as a library and as a Kedro project.

These names are all that users import; docs/api.md lists them with a whole example, README.md says where to start.
Each is imported when it is first asked for, so that ``import mmctr_kedro`` costs nothing.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmctr_kedro.common.errors import MmctrError as MmctrError
    from mmctr_kedro.data.challenge import RawFolder as RawFolder
    from mmctr_kedro.data.clicks import Batch as Batch
    from mmctr_kedro.data.clicks import Clicks as Clicks
    from mmctr_kedro.data.clicks import own_levels as own_levels
    from mmctr_kedro.data.covers import Covers as Covers
    from mmctr_kedro.data.importing.log import import_interaction_log as import_interaction_log
    from mmctr_kedro.data.processing.read_challenge import ChallengeData as ChallengeData
    from mmctr_kedro.data.processing.read_challenge import read_challenge as read_challenge
    from mmctr_kedro.data.settings import InteractionLogParams as InteractionLogParams
    from mmctr_kedro.diagnosis.diagnose import diagnose as diagnose
    from mmctr_kedro.encoders.item_vectors import encode_covers as encode_covers
    from mmctr_kedro.encoders.item_vectors import encode_titles as encode_titles
    from mmctr_kedro.encoders.settings import ImageEncoderParams as ImageEncoderParams
    from mmctr_kedro.encoders.settings import TextEncoderParams as TextEncoderParams
    from mmctr_kedro.encoders.store import VectorStore as VectorStore
    from mmctr_kedro.evaluation.evaluate import evaluate as evaluate
    from mmctr_kedro.export.export_model import export_model as export_model
    from mmctr_kedro.export.settings import ExportParams as ExportParams
    from mmctr_kedro.fusion.embedding import fuse_items as fuse_items
    from mmctr_kedro.fusion.settings import EmbeddingParams as EmbeddingParams
    from mmctr_kedro.models import TrainedModel as TrainedModel
    from mmctr_kedro.models import build_model as build_model
    from mmctr_kedro.models import restore_model as restore_model
    from mmctr_kedro.models.layers import CtrModel as CtrModel
    from mmctr_kedro.models.model_file import load_model as load_model
    from mmctr_kedro.models.model_file import save_model as save_model
    from mmctr_kedro.models.settings import CtrParams as CtrParams
    from mmctr_kedro.models.settings import DinParams as DinParams
    from mmctr_kedro.models.settings import EvidenceParams as EvidenceParams
    from mmctr_kedro.models.settings import FixedCtrParams as FixedCtrParams
    from mmctr_kedro.models.settings import QinParams as QinParams
    from mmctr_kedro.models.settings import TransformerDcnParams as TransformerDcnParams
    from mmctr_kedro.scoring.scorer import Scorer as Scorer
    from mmctr_kedro.submission.check_submission import check_submission as check_submission
    from mmctr_kedro.submission.submission_zip import write_submission as write_submission
    from mmctr_kedro.training.batches import make_batch as make_batch
    from mmctr_kedro.training.trained_model import leave_out_the_leak as leave_out_the_leak
    from mmctr_kedro.training.trained_model import predict as predict
    from mmctr_kedro.training.trained_model import train as train
    from mmctr_kedro.training.trained_model import train_network as train_network
    from mmctr_kedro.worlds.settings import WorldParams as WorldParams
    from mmctr_kedro.worlds.world import write_world as write_world

# Beside another busy process, OpenMP threads that spin while they wait cost a factor of ten. This is read once, when
# torch loads its OpenMP, so it has to stand here, before anything of ours imports torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"

_HOMES = {
    "common.errors": "MmctrError",
    "data.challenge": "RawFolder",
    "data.clicks": "Batch Clicks own_levels",
    "data.covers": "Covers",
    "data.importing.log": "import_interaction_log",
    "data.processing.read_challenge": "ChallengeData read_challenge",
    "data.settings": "InteractionLogParams",
    "diagnosis.diagnose": "diagnose",
    "encoders.item_vectors": "encode_covers encode_titles",
    "encoders.settings": "ImageEncoderParams TextEncoderParams",
    "encoders.store": "VectorStore",
    "evaluation.evaluate": "evaluate",
    "export.export_model": "export_model",
    "export.settings": "ExportParams",
    "fusion.embedding": "fuse_items",
    "fusion.settings": "EmbeddingParams",
    "models": "TrainedModel build_model restore_model",
    "models.layers": "CtrModel",
    "models.model_file": "load_model save_model",
    "models.settings": "CtrParams DinParams EvidenceParams FixedCtrParams QinParams TransformerDcnParams",
    "scoring.scorer": "Scorer",
    "submission.check_submission": "check_submission",
    "submission.submission_zip": "write_submission",
    "training.batches": "make_batch",
    "training.trained_model": "leave_out_the_leak predict train train_network",
    "worlds.settings": "WorldParams",
    "worlds.world": "write_world",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}
__all__ = sorted(_HOME)

if not TYPE_CHECKING:  # a type checker would take every name that it does not know for one of these

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

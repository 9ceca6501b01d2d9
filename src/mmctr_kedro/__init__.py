"""Multimodal CTR prediction as a Kedro project; see README.md for where to start."""

import os

# Beside another busy process, OpenMP threads that spin while they wait cost a factor of ten. This is read once, when
# torch loads its OpenMP, so it has to stand here, before anything of ours imports torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"

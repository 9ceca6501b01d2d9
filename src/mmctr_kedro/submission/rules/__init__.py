"""The challenge's rules as code: what each says, where it stands, whether it held, and what shows it.

``settings`` and ``wiring`` can be judged before any work, ``artifacts`` once a model has predicted.
"""

from mmctr_kedro.submission.rules.verdict import RESEARCH, Verdict, broken, listing, refusal

__all__ = ["RESEARCH", "Verdict", "broken", "listing", "refusal"]

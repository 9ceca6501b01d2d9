"""Keeping credentials out of settings, logs and whatever a run writes.

A credential is known by its looks (the forms that the usual services give theirs), by the name under which it is set
(``HF_TOKEN``), or because conf/*/credentials.yml holds it. Settings are written into models, reports and manifests, so
one that holds a credential is refused; what a log line says of a known one is blotted out.
"""

from __future__ import annotations

import logging
import os
import re
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import leaves

BLOT = "[redacted]"
_SHORTEST = 8  # characters; below, a "secret" such as "true" would blot out ordinary words
_NAMES = re.compile(r"TOKEN(?!IZER)|SECRET|PASSW|CREDENTIAL|APIKEY|(^|[_.-])(KEY|PAT|PWD)([_.-]|$)", re.IGNORECASE)
_LOOKS = re.compile(
    r"""(?<![A-Za-z0-9])(?:
      hf_[A-Za-z0-9]{20,} | sk-[\w-]{20,}               # Hugging Face; OpenAI and others
    | gh[pousr]_\w{30,} | github_pat_\w{30,} | glpat-[\w-]{20,}
    | (?:AKIA|ASIA)[A-Z0-9]{16} | AIza[\w-]{35}         # AWS, Google
    | xox[abprs]-[\w-]{10,} | pypi-[\w-]{40,}           # Slack, PyPI
    | eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]*              # JSON web tokens
    )
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----(?:.*?-----END[ ][A-Z ]*PRIVATE[ ]KEY-----)?
    | (?<=://)[^\s/:@]*:[^\s/@]+(?=@)                   # user:password in an address""",
    re.VERBOSE | re.DOTALL,
)
_known: set[str] = set()


def refuse_credentials(settings: Mapping[str, Any], where: str) -> None:
    """Refuse settings that hold a credential, by its looks or by the name of its key, without saying it.

    Args:
        settings: A tree of settings. A key ``credentials`` names an entry of credentials.yml, as Kedro has it.
        where: What holds the settings, for the message: "conf/", "--params".
    """
    found = set()
    for key, value in leaves(settings):
        name = key.rpartition(".")[2]
        named = isinstance(value, str) and len(value) >= _SHORTEST and name != "credentials" and _NAMES.search(name)
        if named or _LOOKS.search(str(value)):
            found.add(key)
    if found:
        raise MmctrError(
            f"{', '.join(sorted(found))} in {where} holds a credential, and settings are written into reports and "
            "manifests. Nothing was run. Remove it, have it replaced where it was issued if others may have seen it, "
            "and give it by the environment (HF_TOKEN for the Hugging Face hub) or in conf/local/credentials.yml, "
            "which stays out of git."
        )


def blot_out(credentials: Iterable[str]) -> None:
    """From here on blot these values out too: those of credentials.yml."""
    _known.update(value for value in credentials if len(value) >= _SHORTEST)


def redacted(content: Any) -> Any:
    """A text, or a tree of dicts, lists and texts, without any credential in it; anything else as it is."""
    if isinstance(content, dict):
        return {redacted(key): redacted(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return type(content)([redacted(value) for value in content])
    if not isinstance(content, str):
        return content
    named = {value for name, value in os.environ.items() if _NAMES.search(name) and len(value) >= _SHORTEST}
    named.discard(os.environ.get("PWD", ""))  # a shell's own folder
    for value in sorted(_known | named, key=len, reverse=True):  # one may be part of another
        content = content.replace(value, BLOT)
    return _LOOKS.sub(BLOT, content)


def redact_logs() -> None:
    """From here on no log record of this process holds a credential, whoever logs and whoever handles it."""
    logging.setLogRecordFactory(_redacted_record)


def _redacted_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record = logging.LogRecord(*args, **kwargs)
    try:
        text = record.getMessage()
    except (TypeError, ValueError, KeyError):  # arguments that do not fit: logging says so itself
        text = f"{record.msg} {record.args}"
    if (clean := redacted(text)) != text:
        record.msg, record.args = clean, None
    if record.exc_info and record.exc_info[0] is not None:
        text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if (clean := redacted(text)) != text:
            record.exc_text, record.exc_info = clean, None
    return record

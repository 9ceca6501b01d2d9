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
from typing import Any, TypeVar

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import leaves

BLOT = "[redacted]"
_SHORTEST = 8  # characters; below, a "secret" such as "true" would blot out ordinary words
_NAMES = re.compile(r"TOKEN(?!IZER)|SECRET|PASSW|CREDENTIAL|APIKEY|(^|[_.-])(KEY|PAT|PWD)([_.-]|$)", re.IGNORECASE)
_LOOKS = re.compile(
    r"""(?<![A-Za-z0-9])(?:
      hf_[A-Za-z0-9]{20,}                               # Hugging Face
    | gh[pousr]_[A-Za-z0-9]{30,} | github_pat_\w{30,}   # GitHub
    | glpat-[\w-]{20,}                                  # GitLab
    | (?:AKIA|ASIA)[A-Z0-9]{16}                         # AWS
    | sk-[A-Za-z0-9_-]{20,}                             # OpenAI and others
    | xox[abprs]-[\w-]{10,}                             # Slack
    | AIza[\w-]{35}                                     # Google
    | pypi-[\w-]{40,}
    | eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]*              # JSON web tokens
    )
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----(?:.*?-----END[ ][A-Z ]*PRIVATE[ ]KEY-----)?
    | (?<=://)[^\s/:@]*:[^\s/@]+(?=@)                   # user:password in an address""",
    re.VERBOSE | re.DOTALL,
)

T = TypeVar("T")
_known: set[str] = set()


def refuse_credentials(settings: Mapping[str, Any], where: str) -> None:
    """Refuse settings that hold a credential, by its looks or by the name of its key, without saying it.

    Args:
        settings: A tree of settings. A key ``credentials`` names an entry of credentials.yml, as Kedro has it.
        where: What holds the settings, for the message: "conf/", "--params".
    """
    if keys := sorted({key for key, value in _leaves(settings) if _is_credential(key, value)}):
        raise MmctrError(
            f"{', '.join(keys)} in {where} holds a credential, and settings are written into reports and manifests. "
            "Nothing was run. Remove it, have it replaced where it was issued if others may have seen it, and give it "
            "by the environment (HF_TOKEN for the Hugging Face hub) or in conf/local/credentials.yml, which stays out "
            "of git."
        )


def know(credentials: Iterable[str]) -> None:
    """Add values to blot out: those of credentials.yml."""
    _known.update(value for value in credentials if len(value) >= _SHORTEST)


def redacted(content: T) -> T:
    """A text, or a tree of dicts, lists, tuples and texts, without any credential in it; anything else as it is.

    For what a run writes about itself, such as a manifest. Values whose key names a secret go whatever they look like.
    """
    return _redacted(content, _values())


def redact_logs() -> None:
    """From here on no log record of this process holds a credential, whoever logs and whoever handles it."""
    make = logging.getLogRecordFactory()
    if getattr(make, "redacts", False):
        return

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = make(*args, **kwargs)
        values = _values()
        try:
            text = made.getMessage()
        except (TypeError, ValueError, KeyError):  # arguments that do not fit: logging says so itself
            text = f"{made.msg} {made.args}"
        if (clean := _redacted(text, values)) != text:
            made.msg, made.args = clean, None
        if made.exc_info and made.exc_info[0] is not None:
            text = "".join(traceback.format_exception(*made.exc_info)).rstrip("\n")
            if (clean := _redacted(text, values)) != text:
                made.exc_text, made.exc_info = clean, None
        return made

    record.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(record)


def _values() -> list[str]:
    """The credentials that this process knows, the longest first: one may be part of another."""
    named = (v for name, v in os.environ.items() if _NAMES.search(name) and name != "PWD")  # a shell's own folder
    given = {value for value in named if len(value) >= _SHORTEST}
    return sorted(_known | given, key=len, reverse=True)


def _redacted(content: Any, values: list[str]) -> Any:
    if isinstance(content, str):
        for value in values:
            content = content.replace(value, BLOT)
        return _LOOKS.sub(BLOT, content)
    if isinstance(content, dict):
        return {
            _redacted(key, values): BLOT if _is_named(str(key), value) else _redacted(value, values)
            for key, value in content.items()
        }
    if isinstance(content, list | tuple):
        return type(content)([_redacted(value, values) for value in content])
    return content


def _is_credential(key: str, value: Any) -> bool:
    return isinstance(value, str) and (_is_named(key, value) or _LOOKS.search(value) is not None)


def _is_named(key: str, value: Any) -> bool:
    name = key.rpartition(".")[2]
    return isinstance(value, str) and len(value) >= _SHORTEST and name != "credentials" and bool(_NAMES.search(name))


def _leaves(content: Any, at: str = "") -> Iterable[tuple[str, Any]]:
    """``params.leaves``, lists included."""
    for key, value in leaves(content, at):
        if isinstance(value, list | tuple):
            for place, each in enumerate(value):
                yield from _leaves(each, f"{key}[{place}]")
        else:
            yield key, value

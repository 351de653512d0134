"""What people read on a console, in Spanish (the default) and in English.

What goes on the wire is not here but in :mod:`tcpecho_trio.dialects`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tcpecho_trio.texts.english import ENGLISH
from tcpecho_trio.texts.lines import Texts
from tcpecho_trio.texts.spanish import SPANISH

__all__ = ["ENGLISH", "LANGUAGES", "SPANISH", "Texts"]

LANGUAGES: Mapping[str, Texts] = MappingProxyType({"es": SPANISH, "en": ENGLISH})

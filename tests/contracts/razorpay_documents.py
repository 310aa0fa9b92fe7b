"""Razorpay publishes no schema: its documents' tables of parameters and sample requests judge ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

_ROW: Final = re.compile(r"^\|\s*([\w\[\]]+)\s*(\*?)\s*\|\s*(\w+)[^|]*\|", re.MULTILINE)
_SAMPLE_FIELD: Final = re.compile(r'["\'](\w+)["\']\s*:')
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict, list),
    "array": (dict, list),
}


@dataclass(frozen=True, kw_only=True)
class Section:
    """One documented call. `fields` are all that stand in its sample or its table."""

    fields: frozenset[str]
    required: frozenset[str]
    types: dict[str, str]


@lru_cache
def read_section(folder: Path, document: str, *titles: str) -> Section:
    """Sections of a document by their titles, together."""
    text = (folder / "razorpay" / "documents" / document).read_text()
    fields: set[str] = set()
    required: set[str] = set()
    types: dict[str, str] = {}
    for title in titles:
        [section] = re.findall(
            rf"^### {re.escape(title)}\n(.*?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL
        )
        asked = section.partition("**Response")[0]
        sample = asked.partition("**Parameters")[0]
        fields |= set(_SAMPLE_FIELD.findall(sample))
        for name, star, kind in _ROW.findall(asked):
            if name == "Name" or name.endswith(("Id", "_id*")):
                continue
            fields.add(name)
            types[name] = kind.lower()
            if star:
                required.add(name)
    return Section(fields=frozenset(fields), required=frozenset(required), types=types)


def judge_fields(section: Section, given: dict[str, Any], place: str = "") -> list[str]:
    """What the documents have against the fields of a request."""
    wrong = [f"{place}{name}: no such field" for name in given.keys() - section.fields]
    wrong += [f"{place}{name}: required" for name in section.required - given.keys()]
    for name, value in given.items():
        allowed = _TYPES.get(section.types.get(name, ""))
        # A bool is an int to Python, and none to Razorpay.
        if allowed and (
            not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed)
        ):
            wrong.append(f"{place}{name}: {value!r} is no {section.types[name]}")
    return wrong

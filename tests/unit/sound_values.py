"""Sound values of a type, made from what the type itself says; every variant of every union comes up once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import inspect as shapes

UUID_TEXT: Final = "01a20d64-423b-7b43-af3b-0a682c6d306c"
# Long enough, printable, and a currency.
_TEXT: Final = "EUR"


def sound_values(shape: shapes.Type) -> Iterator[Any]:
    """As they stand in JSON. Optional fields are filled, and null is left to others."""
    match shape:
        case shapes.Metadata():
            yield from sound_values(shape.type)
        case shapes.StructType():
            yield from _structs(shape)
        case shapes.UnionType():
            for one in shape.types:
                yield from sound_values(one)
        case shapes.ListType() | shapes.VarTupleType():
            yield from ([one] for one in sound_values(shape.item_type))
        case shapes.DictType():
            yield from ({_TEXT: one} for one in sound_values(shape.value_type))
        case shapes.IntType():
            yield shape.ge or 1
        case shapes.LiteralType():
            yield from shape.values
        case shapes.StrType():
            yield _TEXT
        case shapes.UUIDType():
            yield UUID_TEXT
        case shapes.DateTimeType():
            yield "2030-01-01T00:00:00Z"
        case shapes.BoolType():
            yield True
        case shapes.NoneType():
            return
        case _:
            raise NotImplementedError(f"no sound value is known of {shape}")


def _structs(shape: shapes.StructType) -> Iterator[dict[str, Any]]:
    tag = {} if shape.tag_field is None else {shape.tag_field: shape.tag}
    variants = {field.encode_name: list(sound_values(field.type)) for field in shape.fields}
    first = tag | {name: values[0] for name, values in variants.items()}
    yield first
    for name, values in variants.items():
        yield from (first | {name: value} for value in values[1:])

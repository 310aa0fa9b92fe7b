r"""From the statements of one real checkout to a pgbench script that runs the very same ones, for any cart.

asyncpg's query logger records what a connection sent: every statement from BEGIN to COMMIT with its arguments. Each
becomes the same statement in the script, with each `$n` replaced by what stands for its argument:

- ids of the cart's rows become an expression of the cart's number, which pgbench draws anew for each transaction;
- ids that PostgreSQL made (the group, its orders, the payment) become variables that `\gset` reads from the row of
  the statement that made them, wherever they occur: in arrays, topics' names and event bodies too;
- times become the transaction's own `SELECT now()`, read by `\gset`, and their distance from it;
- everything else is a constant, handed over as a pgbench variable, so that in prepared mode it travels as a
  parameter as it does from the service.

A UUID that is none of these would silently be the recorded checkout's: that is an error here. Comments are left out
as pgbench would leave them out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

import msgspec

from bench.checkout_goods import (
    BUYERS_FROM,
    PRODUCTS_PER_SHOP,
    SHOPS,
    SHOPS_FROM,
    Cart,
)

# pgbench's arithmetic for `checkout_goods.cart_of`. Every cart comes once, in an order of no meaning.
_DRAW: Final = f"""\\set turn :turn + 1
\\set n permute(:client_id + :turn * :clients, :buyers, :seed)
\\set shop :n % ({SHOPS} - 1)
\\set buyer {BUYERS_FROM} + :n
\\set shop_1 {SHOPS_FROM} + :shop
\\set shop_2 {SHOPS_FROM} + :shop + 1
\\set variant_1 :shop + {SHOPS} * (:n * 7919 % {PRODUCTS_PER_SHOP})
\\set variant_2 :shop + {SHOPS} * ((:n * 7919 + 1 + :n % 7) % {PRODUCTS_PER_SHOP})
\\set variant_3 :shop + 1 + {SHOPS} * (:n * 104729 % {PRODUCTS_PER_SHOP})
"""
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PARAMETER: Final = re.compile(r"\$(\d+)")
_WOULD_BE_VARIABLE: Final = re.compile(r":\w")
_NOW: Final = "SELECT now()"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement as it was sent."""

    query: str
    arguments: tuple[Any, ...]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """Ids that the statement holding `marker` made, by column of its one row; their variables begin with `prefix`."""

    marker: str
    prefix: str
    columns: dict[str, UUID | list[UUID]]


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """The script, and the variables that pgbench is started with."""

    text: str
    variables: dict[str, str]
    statements: int


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One checkout of `cart`, whose transaction began at `now` by the database's clock."""

    statements: list[Statement]
    cart: Cart
    made: list[Made]
    shared: frozenset[UUID]
    """Ids that stand in the checkout of any cart: the market's own."""
    now: datetime


def write_script(recording: Recording) -> Script:
    """Turn a recorded checkout of one cart into a script for all carts.

    Raises:
        ValueError: something in it cannot be told for another cart.
    """
    return _Writer(recording).script()


class _Writer:
    def __init__(self, recording: Recording) -> None:
        self._statements = recording.statements
        self._made = recording.made
        self._now = recording.now
        self._shared = recording.shared
        self._expressions = _of_cart(recording.cart) | _of_made(recording.made)
        self._constants: dict[str, str] = {}

    def script(self) -> Script:
        lines = [self._line(statement) for statement in self._statements]
        for needed in (_NOW, *(made.marker for made in self._made)):
            if sum(needed in statement.query for statement in self._statements) != 1:
                raise ValueError(f"not exactly one statement holds {needed!r}")
        return Script(
            text=_DRAW + "\n".join(lines) + "\n",
            variables=self._constants | {"turn": "-1"},
            statements=len(lines),
        )

    def _line(self, statement: Statement) -> str:
        bare = _without_comments(statement.query)
        if _WOULD_BE_VARIABLE.search(bare.replace("::", "")):
            raise ValueError(f"pgbench would take a part of this for a variable: {bare}")
        written = _PARAMETER.sub(
            lambda found: f"({self._expression(statement.arguments[int(found[1]) - 1])})", bare
        )
        return written + self._ending(statement)

    def _ending(self, statement: Statement) -> str:
        if statement.query == _NOW:
            return " \\gset"
        for made in self._made:
            if made.marker in statement.query:
                return f" \\gset {made.prefix}"
        return ";"

    def _expression(self, value: object) -> str:
        """Write an argument as SQL whose type the statement's own cast decides."""
        if value is None:
            return "NULL"
        if isinstance(value, list | tuple):
            return self._array(cast("Sequence[object]", value))
        if isinstance(value, datetime):
            distance_us = (value - self._now) // timedelta(microseconds=1)
            return f":now::timestamptz + interval '{distance_us} us'"
        text = _text_of(value)
        return self._with_ids(text) if _UUID.search(text) else self._constant(text)

    def _array(self, values: Sequence[object]) -> str:
        if any(isinstance(value, datetime) or _UUID.search(_text_of(value)) for value in values):
            return f"ARRAY[{', '.join(self._expression(value) for value in values)}]"
        elements = ("NULL" if value is None else _quoted(_text_of(value)) for value in values)
        return self._constant("{" + ",".join(elements) + "}")

    def _with_ids(self, text: str) -> str:
        if _UUID.fullmatch(text):
            return self._id(text)
        parts: list[str] = []
        end = 0
        for found in _UUID.finditer(text):
            if found.start() > end:
                parts.append(f"{self._constant(text[end : found.start()])}::text")
            parts.append(f"({self._id(found[0])})::text")
            end = found.end()
        if end < len(text):
            parts.append(f"{self._constant(text[end:])}::text")
        return " || ".join(parts)

    def _id(self, text: str) -> str:
        if UUID(text) in self._shared:
            return f"{self._constant(text)}::uuid"
        expression = self._expressions.get(UUID(text))
        if expression is None:
            raise ValueError(f"{text} is neither of the cart nor made by a statement of the script")
        return expression

    def _constant(self, text: str) -> str:
        for name, known in self._constants.items():
            if known == text:
                return f":{name}"
        name = f"c{len(self._constants) + 1}"
        self._constants[name] = text
        return f":{name}"


def _of_cart(cart: Cart) -> dict[UUID, str]:
    names = {
        cart.buyer: "buyer",
        **{variant: f"variant_{place}" for place, variant in enumerate(cart.variants, 1)},
        **{shop: f"shop_{place}" for place, shop in enumerate(cart.shops, 1)},
    }
    return {value: f"lpad(:{name}, 32, '0')::uuid" for value, name in names.items()}


def _of_made(made: Sequence[Made]) -> dict[UUID, str]:
    found: dict[UUID, str] = {}
    for one in made:
        for column, ids in one.columns.items():
            variable = f":{one.prefix}{column}"
            if isinstance(ids, UUID):
                found[ids] = f"{variable}::uuid"
            else:
                found |= {
                    value: f"({variable}::uuid[])[{place}]" for place, value in enumerate(ids, 1)
                }
    return found


def _text_of(value: object) -> str:
    """An argument in PostgreSQL's text form."""
    if isinstance(value, str | int | UUID):
        return str(value)
    if isinstance(value, msgspec.Raw | bytes):
        return bytes(value).decode()
    if isinstance(value, msgspec.Struct | dict):
        return msgspec.json.encode(value).decode()
    return "" if value is None else str(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _without_comments(query: str) -> str:
    lines = (line.partition("--")[0] for line in query.splitlines())
    return " ".join(" ".join(lines).split()).rstrip(";")

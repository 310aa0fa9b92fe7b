"""The order machine drawn out of its own tables, for docs/orders.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

from feira.platform.domain.order_commands import DeadlineKind
from feira.platform.domain.order_rules import RULES, Step
from feira.platform.domain.order_state import CLOSED, DEADLINES_OF, OrderStatus

_WHAT_TIME_DOES: Final[Mapping[DeadlineKind, str]] = {
    "hold": "an unpaid order expires, and its stock is free",
    "ship_by": "the shop is late: the buyer may cancel at once, and `late_cancel` begins",
    "late_cancel": "what was not shipped is cancelled",
    "cancel_answer": "the buyer's request to cancel is granted",
    "arrival": "the parcels count as delivered",
    "auto_accept": "the order counts as accepted, and the shop is owed its money",
    "dispute_decision": "support is reminded, and again after as long",
}


def draw() -> str:
    """All that docs/orders.md shows of the machine: a diagram, who may do what, and the deadlines."""
    return f"{_diagram()}\n\n{_steps()}\n\n{_deadlines()}\n"


def _diagram() -> str:
    """Ways that lead somewhere; what leaves an order where it is stands in the table."""
    ways: dict[tuple[OrderStatus, OrderStatus], list[Step]] = {}
    for step, rule in RULES.items():
        for source, targets in rule.paths.items():
            for target in targets:
                if target != source:
                    ways.setdefault((source, target), []).append(step)
    statuses: tuple[OrderStatus, ...] = get_args(OrderStatus)
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR", f"    [*] --> {statuses[0]}"]
    lines += [
        f"    {source} --> {target}: {', '.join(ways[source, target])}"
        for source in statuses
        for target in statuses
        if (source, target) in ways
    ]
    lines += [f"    {status} --> [*]" for status in statuses if status in CLOSED]
    return "\n".join([*lines, "```"])


def _steps() -> str:
    rows = ["| step | who | from → to |", "|---|---|---|"]
    for step, rule in RULES.items():
        ways = "; ".join(
            f"{source} → {', '.join(targets)}" if targets != (source,) else source
            for source, targets in rule.paths.items()
        )
        rows.append(f"| `{step}` | {', '.join(sorted(rule.actors))} | {ways} |")
    return "\n".join(rows)


def _deadlines() -> str:
    rows = ["| deadline | runs while | what happens then |", "|---|---|---|"]
    kinds: tuple[DeadlineKind, ...] = get_args(DeadlineKind)
    for kind in kinds:
        statuses = ", ".join(status for status, kinds_ in DEADLINES_OF.items() if kind in kinds_)
        rows.append(f"| `{kind}` | {statuses} | {_WHAT_TIME_DOES[kind]} |")
    return "\n".join(rows)

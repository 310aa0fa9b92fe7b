"""The table at the end of the day."""

from __future__ import annotations

from feira.market_day.audit import Audit
from feira.market_day.record import Record, percentiles_ms
from feira.platform.domain.money import format_money

PROBLEMS_SHOWN_MAX = 20


def report(record: Record, found: Audit) -> str:
    """Everything that counts, in plain text."""
    lines = ["", "  messages"]
    lines += _rows(
        {
            "sent": record.sent,
            "acknowledged": len(record.acknowledged),
            "delivered (to every member, the sender too)": found.delivered,
        }
    )
    lines += ["  orders", *_rows(dict(sorted(found.orders.items())))]
    for currency, money in found.money.items():
        lines += [f"  money in {currency}"]
        lines += _rows(
            {name: format_money(amount, currency) for name, amount in sorted(money.items())}
        )
    lines += ["  on the way", *_rows(dict(sorted(record.counts.items())))]
    lines += ["  latency, p50 / p99"]
    for name, seconds in sorted(record.latencies_s.items()):
        p50, p99 = percentiles_ms(seconds)
        lines.append(f"    {name:<46} {p50:8.1f} / {p99:.1f} ms   ({len(seconds)})")
    lines.append("")
    if found.problems:
        lines.append(f"  NOT TRUE ({len(found.problems)}):")
        lines += [f"    - {problem}" for problem in found.problems[:PROBLEMS_SHOWN_MAX]]
    else:
        lines.append(
            "  Every acknowledged message reached every member once and in order; every order's events are gapless;\n"
            "  stock equals what was sold; the ledger's invariants hold; nothing hung."
        )
    return "\n".join(lines)


def _rows(values: dict[str, int] | dict[str, str]) -> list[str]:
    return [f"    {name:<46} {value:>14}" for name, value in values.items()]

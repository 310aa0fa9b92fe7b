"""What open pages hear of an order: every change with all its countdowns, on every side's socket."""

from __future__ import annotations

from typing import Any

import pytest

from feira.app import RunningNode
from tests.integration.cast import Cast, Part, assemble
from tests.integration.sockets import Client, opened


@pytest.fixture
async def cast(node: RunningNode) -> Cast:
    return await assemble(node.market)


async def heard(client: Client, topic: str, kind: str) -> dict[str, Any]:
    """The event of this kind on a topic, whenever it comes."""
    message = await client.until(
        lambda one: (
            one.get("event", {}).get("topic") == topic and one["event"]["body"]["kind"] == kind
        )
    )
    return message["event"]["body"]


async def test_countdowns_start_stop_and_move_on_every_open_page(
    node: RunningNode, cast: Cast
) -> None:
    order, shop = cast.ids["order"], cast.ids["shop"]
    topic = f"order:{order}"

    async def command(who: Client, key: str, **wanted: object) -> dict[str, Any]:
        asked = {"order": order, "idempotency_key": key, "command": wanted}
        return await who.ask(order=asked)

    async with opened(node) as buyer, opened(node) as owner:
        people: tuple[tuple[Client, Part], ...] = ((buyer, "buyer"), (owner, "owner"))
        for client, part in people:
            await client.ask(connect={"token": cast.people[part].token})
            await client.ask(subscribe={"topic": topic})
        await owner.ask(subscribe={"topic": f"shop:{shop}"})
        assert "ok" in await command(owner, "yes", action="accept")
        assert "ok" in await command(buyer, "ask", action="request_cancel", reason="twice")
        for client in (buyer, owner):
            running = (await heard(client, topic, "order.accepted"))["deadlines"]
            assert [(one["kind"], one["paused_at"]) for one in running] == [("ship_by", None)]
            asked = await heard(client, topic, "order.cancel_requested")
            stands = {one["kind"]: one["paused_at"] is not None for one in asked["deadlines"]}
            assert stands == {"cancel_answer": False, "ship_by": True}

        refused = await command(owner, "ship", action="ship", carrier="CTT", tracking_number="RR1")
        assert refused["error"]["code"] == "order.cancel_requested"
        current = refused["error"]["details"]["current"]
        assert (current["status"], current["version"]) == ("accepted", asked["version"])
        assert "decline_cancel" in current["actions"]

        assert "ok" in await command(owner, "no", action="decline_cancel", reason="packed")
        for client in (buyer, owner):
            (on,) = (await heard(client, topic, "order.cancel_declined"))["deadlines"]
            assert on["paused_at"] is None
            assert on["due_at"] > running[0]["due_at"]
        await heard(owner, f"shop:{shop}", "order.moved")

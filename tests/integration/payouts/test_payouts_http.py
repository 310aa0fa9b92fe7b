"""The seller's and the operators' side of payouts over HTTP."""

from __future__ import annotations

import csv
import io
import re
import zlib
from typing import Any

import aiohttp

from feira.platform.domain.ids import ShopId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import shop_topic
from tests.integration.orders.stage import kind
from tests.integration.payouts.till import Till

WEEKLY = {"frequency": "weekly", "weekday": 3, "month_day": 1, "zone": "Europe/Lisbon"}


async def download(till: Till, path: str, who: Principal) -> tuple[str, bytes]:
    async with (
        aiohttp.ClientSession(headers=await till.headers(who)) as session,
        session.get(f"{till.floor.url}{path}") as answer,
    ):
        assert answer.status == 200, await answer.text()
        return answer.content_type, await answer.read()


async def settle(till: Till, shop: ShopId, who: Principal, **change: Any) -> tuple[int, Any]:
    body: dict[str, Any] = {"schedule": WEEKLY, "minimums": [], **change}
    return await till.floor.api("PUT", f"/v1/shops/{shop}/payout-settings", who, body)


async def test_a_seller_chooses_when_and_sees_what_comes(till: Till) -> None:
    bought = await till.sale()
    shop, owner = bought.shop.id, bought.shop.owner
    minimum = {"currency": "EUR", "minimum_minor": 5_000}
    status, settings = await settle(till, shop, owner, minimums=[minimum])
    assert (status, settings["schedule"]) == (200, WEEKLY)
    _, overview = await till.floor.api("GET", f"/v1/shops/{shop}/payout-overview", owner)
    assert overview["settings"] == settings
    assert overview["settings"]["next_payout_at"].startswith("20")
    assert overview["balances"] == [
        {
            "currency": "EUR",
            "pending_minor": 9_000,
            "available_minor": 0,
            "in_flight_minor": 0,
            "owed_minor": 0,
        }
    ]
    (release,) = overview["releases"]
    assert release["order"] == str(bought.order)
    status, problem = await settle(till, shop, owner, minimums=[minimum, minimum])
    assert (status, problem["code"]) == (400, "payout.minimum_twice")
    wrong = WEEKLY | {"zone": "Mars/Olympus"}
    assert (await settle(till, shop, owner, schedule=wrong))[0] == 400


async def test_a_payout_by_hand_with_its_lines_and_statements(till: Till) -> None:
    bought = await till.cleared()
    shop, owner = bought.shop.id, bought.shop.owner
    status, page = await till.floor.api("POST", f"/v1/shops/{shop}/payouts", owner, {})
    assert status == 201
    (payout,) = page["items"]
    assert (payout["amount_minor"], payout["state"], payout["slot_at"]) == (9_000, "created", None)
    status, problem = await till.floor.api("POST", f"/v1/shops/{shop}/payouts", owner, {})
    assert (status, problem["code"]) == (422, "payout.nothing_available")

    _, lines = await till.floor.api("GET", f"/v1/payouts/{payout['id']}/lines", owner)
    (line,) = lines["items"]
    assert (line["cause"], line["order"], line["amount_minor"]) == (
        "cleared",
        str(bought.order),
        9_000,
    )
    path = f"/v1/payouts/{payout['id']}/statement"
    content_type, text = await download(till, f"{path}?format=csv", owner)
    assert content_type == "text/csv"
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    assert [(row["cause"], row["amount_minor"], row["amount"]) for row in rows] == [
        ("cleared", "9000", "90.00")
    ]
    content_type, first = await download(till, path, owner)
    assert content_type == "application/pdf"
    said = words(first)
    assert "Payout statement" in said
    assert "90.00 EUR" in said
    assert str(payout["id"]) in said
    assert (await download(till, path, owner))[1] == first

    row = await till.until((await till.payouts(shop))[0], "paid")
    _, shown = await till.floor.api("GET", f"/v1/payouts/{row.id}", owner)
    assert shown["state"] == "paid"
    _, listed = await till.floor.api("GET", f"/v1/shops/{shop}/payouts", owner)
    assert [item["id"] for item in listed["items"]] == [str(row.id)]
    kinds = [kind(event) for event in await till.floor.stage.events(shop_topic(shop))]
    assert kinds.count("payout.moved") >= 5


async def test_operators_hold_resume_retry_and_cancel(till: Till) -> None:
    bought, payout = await till.paid_out()
    finance = await till.floor.stage.person("finance")

    async def command(**body: str) -> tuple[int, Any]:
        path = f"/v1/admin/payouts/{payout}/commands"
        return await till.floor.api("POST", path, finance, body)

    status, held = await command(action="hold", reason="Looks odd.")
    assert (status, held["held_reason"]) == (200, "Looks odd.")
    await till.run_jobs()
    assert (await till.payout(payout)).state == "created"
    status, canceled = await command(action="cancel")
    assert (status, canceled["state"]) == (200, "canceled")
    assert await till.money(bought.shop.id) == {"available": 9_000}
    status, problem = await command(action="resume")
    assert (status, problem["code"]) == (409, "payout.over")

    # It is in the next one, and that one is seen through.
    await till.let_slot_come(bought.shop.id)
    await till.pay_batch()
    _, payout = await till.payouts(bought.shop.id)
    await command(action="hold", reason="Once more.")
    await till.run_jobs()
    await command(action="resume")
    await till.until(payout, "paid")
    _, page = await till.floor.api("GET", "/v1/admin/payouts?state=paid", finance)
    assert [item["id"] for item in page["items"]] == [str(payout)]


async def test_operators_pause_a_shop_and_all_shops(till: Till) -> None:
    bought = await till.cleared()
    shop, finance = bought.shop.id, await till.floor.stage.person("finance")
    terms = {"clearance_s": 0, "paused_reason": "Looks odd."}
    status, settings = await till.floor.api(
        "PUT", f"/v1/admin/shops/{shop}/payout-terms", finance, terms
    )
    assert (status, settings["clearance_s"], settings["paused_reason"]) == (200, 0, "Looks odd.")
    await till.let_slot_come(shop)
    assert await till.pay_batch() == 0
    status, problem = await till.floor.api(
        "POST", f"/v1/shops/{shop}/payouts", bought.shop.owner, {}
    )
    assert (status, problem["code"]) == (409, "payout.paused")
    terms["paused_reason"] = ""
    await till.floor.api("PUT", f"/v1/admin/shops/{shop}/payout-terms", finance, terms)
    policy = {"clearance_s": 3600, "paused_reason": "Bank holiday."}
    await till.floor.api("PUT", "/v1/admin/payout-policy", finance, policy)
    assert await till.pay_batch() == 0
    policy["paused_reason"] = ""
    await till.floor.api("PUT", "/v1/admin/payout-policy", finance, policy)
    # The slot that came meanwhile is made up for.
    assert await till.pay_batch() == 1
    assert await till.money(shop) == {"in_flight": 9_000}


def words(pdf: bytes) -> str:
    """The text that a PDF of ours shows."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    shown: list[str] = []
    for stream in streams:
        try:
            content = zlib.decompress(stream)
        except zlib.error:
            continue
        shown += [text.decode("latin-1") for text in re.findall(rb"\(([^)]*)\) ?Tj", content)]
    return "\n".join(shown)

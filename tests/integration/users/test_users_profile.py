"""The own account and its address book."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from tests.integration.users.stage import Answer, Person, Stage

LISBOA: dict[str, Any] = {
    "name": "Ana Lima",
    "line1": "Rua Augusta 1",
    "city": "Lisboa",
    "postal_code": "1100-048",
    "country": "PT",
    "phone": "+351 21 000 00 00",
}


async def _add(stage: Stage, person: Person, **changes: object) -> Answer:
    return await stage.post("/v1/me/addresses", LISBOA | changes, person.access)


async def _book(stage: Stage, person: Person) -> list[dict[str, Any]]:
    return (await stage.get("/v1/me/addresses?limit=100", person.access)).body["items"]


async def test_nobody_s_account_is_shown_to_nobody(stage: Stage) -> None:
    for path in ("/v1/me", "/v1/me/sessions", "/v1/me/addresses"):
        answer = await stage.get(path)
        assert (answer.status, answer.code) == (401, "auth.required")


async def test_a_profile_is_changed_in_the_parts_that_were_given(stage: Stage) -> None:
    ana = await stage.person()
    before = (await stage.get("/v1/me", ana.access)).body
    change = {"version": before["version"], "locale": "pt-BR", "time_zone": "America/Sao_Paulo"}
    after = await stage.call("PATCH", "/v1/me", change, token=ana.access)
    assert after.status == 200
    assert after.body == before | change | {"version": before["version"] + 1}
    assert (await stage.get("/v1/me", ana.access)).body == after.body
    assert after.body["shops"] == []


async def test_a_change_from_a_stale_version_is_refused_with_the_current_one(stage: Stage) -> None:
    ana = await stage.person()
    changes = [{"version": 1, "display_name": f"Ana {number}"} for number in range(5)]
    answers = await asyncio.gather(
        *(stage.call("PATCH", "/v1/me", change, token=ana.access) for change in changes)
    )
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409, 409]
    stale = next(answer for answer in answers if answer.status == 409)
    assert (stale.code, stale.body["details"]) == ("user.stale_version", {"version": 2})


async def test_a_time_zone_that_is_none_is_refused(stage: Stage) -> None:
    ana = await stage.person()
    for zone in ("Europe/Atlantis", "America", "+++"):
        change = {"version": 1, "time_zone": zone}
        answer = await stage.call("PATCH", "/v1/me", change, token=ana.access)
        assert (answer.status, answer.body["field"]) == (400, "$.time_zone")


async def test_a_repeated_change_with_the_same_key_gets_the_first_answer(stage: Stage) -> None:
    ana = await stage.person()
    headers = {"Idempotency-Key": "once"}
    body = {"version": 1, "display_name": "Ana Maria"}
    first = await stage.call("PATCH", "/v1/me", body, token=ana.access, headers=headers)
    again = await stage.call("PATCH", "/v1/me", body, token=ana.access, headers=headers)
    assert (first.status, again.status) == (200, 200)
    assert first.body == again.body
    added = [
        await stage.call(
            "POST", "/v1/me/addresses", LISBOA, token=ana.access, headers={"Idempotency-Key": "a"}
        )
        for _ in range(2)
    ]
    assert added[0].body == added[1].body
    assert len(await _book(stage, ana)) == 1


async def test_an_address_is_added_read_replaced_and_deleted(stage: Stage) -> None:
    ana = await stage.person()
    added = await _add(stage, ana)
    assert added.status == 201
    path = f"/v1/me/addresses/{added.body['id']}"
    assert added.body.items() >= (LISBOA | {"line2": "", "region": "", "is_default": True}).items()
    assert (await stage.get(path, ana.access)).body == added.body
    moved = LISBOA | {"line1": "Rua do Ouro 2", "line2": "3.º andar"}
    replaced = await stage.call("PUT", path, moved, token=ana.access)
    assert replaced.body.items() >= moved.items()
    assert replaced.body["is_default"] is True
    assert (await stage.call("DELETE", path, token=ana.access)).status == 204
    assert (await stage.get(path, ana.access)).code == "address.not_found"
    assert (await stage.call("DELETE", path, token=ana.access)).code == "address.not_found"


async def test_a_book_has_one_default_whatever_happens(stage: Stage) -> None:
    ana = await stage.person()
    first = (await _add(stage, ana)).body
    second = (await _add(stage, ana)).body
    third = (await _add(stage, ana, is_default=True)).body
    assert [entry["is_default"] for entry in await _book(stage, ana)] == [True, False, False]
    path = f"/v1/me/addresses/{first['id']}"
    await stage.call("PUT", path, LISBOA | {"is_default": True}, token=ana.access)
    assert [entry["is_default"] for entry in await _book(stage, ana)] == [False, False, True]
    await stage.call("DELETE", path, token=ana.access)
    left = await _book(stage, ana)
    assert [(entry["id"], entry["is_default"]) for entry in left] == [
        (third["id"], True),
        (second["id"], False),
    ]


async def test_defaults_chosen_at_once_leave_one(stage: Stage) -> None:
    ana = await stage.person()
    answers = await asyncio.gather(*(_add(stage, ana, is_default=True) for _ in range(8)))
    assert [answer.status for answer in answers] == [201] * 8
    assert [entry["is_default"] for entry in await _book(stage, ana)].count(True) == 1


async def test_other_people_s_addresses_are_not_there(stage: Stage) -> None:
    ana, rui = await stage.person(), await stage.person("admin", "support")
    path = f"/v1/me/addresses/{(await _add(stage, ana)).body['id']}"
    for method, body in (("GET", None), ("PUT", LISBOA), ("DELETE", None)):
        answer = await stage.call(method, path, body, token=rui.access)
        assert (answer.status, answer.code) == (404, "address.not_found")
    assert (await stage.get(f"/v1/me/addresses/{uuid4()}", rui.access)).status == 404
    assert (await stage.get("/v1/me/addresses/1", rui.access)).status == 400


async def test_a_country_that_is_none_is_refused(stage: Stage) -> None:
    ana = await stage.person()
    answer = await _add(stage, ana, country="ZZ")
    assert (answer.status, answer.code) == (400, "address.unknown_country")


async def test_a_book_is_read_page_by_page_and_has_an_end(stage: Stage) -> None:
    ana = await stage.person()
    added = [(await _add(stage, ana)).body["id"] for _ in range(5)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await stage.get(f"/v1/me/addresses?limit=2{cursor}", ana.access)).body
        seen += [entry["id"] for entry in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == added[::-1]
    answers = [await _add(stage, ana) for _ in range(46)]
    assert [answer.status for answer in answers] == [201] * 45 + [422]
    assert answers[-1].code == "address.too_many"

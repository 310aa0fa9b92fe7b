"""From an application to an open shop, over the real sandbox provider, and back."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from feira.platform.domain.errors import Unavailable
from feira.platform.domain.ids import ShopId
from feira.platform.domain.topics import OPS, inbox_topic, shop_topic
from feira.platform.gateways.payments.objects import Account, AccountStatus
from feira.services.users.authentication import authenticate
from feira.services.users.shops import apply_account, shop_roles
from tests.integration.users.stage import Answer, Person, Stage, eventually, new_address


async def _apply(stage: Stage, owner: Person, **changes: object) -> Answer:
    wanted = {"name": "Casa da Ana", "country": "PT", "currency": "EUR"} | changes
    return await stage.post("/v1/shops", wanted, owner.access)


async def _shop_at(stage: Stage, owner: Person, status: str, **changes: object) -> str:
    """A shop whose application went through the provider; `status` is what its name makes it."""
    shop = (await _apply(stage, owner, **changes)).body["id"]
    await _reaches(stage, shop, status)
    return shop


async def _reaches(stage: Stage, shop: str, status: str) -> None:
    async def there() -> bool:
        await stage.work_off()
        return (
            await stage.fetchval("SELECT status::text FROM shops WHERE id = $1", UUID(shop))
            == status
        )

    await eventually(there)


async def _decide(
    stage: Stage, admin: Person, shop: str, decision: str, reason: str = "Looked at it."
) -> Answer:
    path = f"/v1/admin/shops/{shop}/{decision}"
    return await stage.post(path, {"reason": reason}, admin.access)


async def _provider_says(stage: Stage, shop: str, status: AccountStatus) -> None:
    reference = await stage.fetchval("SELECT provider_account FROM shops WHERE id = $1", UUID(shop))
    account = Account(reference=reference, status=status)
    await stage.market.database.transact(lambda tx: apply_account(tx, account))


async def _kinds(stage: Stage, shop: str) -> list[str]:
    return [event["kind"] for event in await stage.events(shop_topic(ShopId(UUID(shop))))]


async def _resyncs(stage: Stage) -> int:
    count = "SELECT count(*) FROM jobs WHERE kind = 'products.sync_to_search'"
    return await stage.fetchval(count)


async def _publish_product(stage: Stage, owner: Person, shop: str) -> None:
    product = {
        "title": "Jug",
        "category": "books",
        "variants": [{"sku": "JUG", "price_minor": 1999, "on_hand": 1}],
    }
    draft = await stage.post(f"/v1/shops/{shop}/products", product, owner.access)
    path = f"/v1/products/{draft.body['id']}/publish"
    published = await stage.post(path, {"version": draft.body["version"]}, owner.access)
    assert published.status == 200


async def test_an_application_is_verified_by_the_provider_and_opened_by_an_admin(
    stage: Stage,
) -> None:
    owner, admin = await stage.person(), await stage.person("admin")
    applied = await _apply(stage, owner, description="Jugs.")
    assert applied.status == 201
    shop = applied.body["id"]
    assert applied.body["status"] == "applied"
    assert applied.body["slug"] == "casa-da-ana"
    assert applied.body["members"] == [
        {"user_id": str(owner.id), "display_name": "Ana", "role": "owner"}
    ]
    await _reaches(stage, shop, "verified")
    waiting = await stage.get("/v1/admin/shops?status=verified", admin.access)
    assert [entry["id"] for entry in waiting.body["items"]] == [shop]
    assert (await stage.get(f"/v1/shops/{shop}")).code == "shop.not_found"

    approved = await _decide(stage, admin, shop, "approve", "Welcome!")
    assert (approved.status, approved.body["status"]) == (200, "approved")
    assert approved.body["status_reason"] == "Welcome!"
    public = await stage.get(f"/v1/shops/{shop}")
    assert public.body["description"] == "Jugs."
    assert "owner_id" not in public.body
    assert (await stage.get("/v1/shops/by-slug/casa-da-ana")).body == public.body
    kinds = ["shop.verifying", "shop.verified", "shop.approved"]
    assert await _kinds(stage, shop) == kinds
    inbox = await stage.events(inbox_topic(owner.id))
    assert [event["kind"] for event in inbox if event["kind"].startswith("shop.")] == kinds
    assert "shop.verified" in [event["kind"] for event in await stage.events(OPS)]
    (mine,) = (await stage.get("/v1/me", owner.access)).body["shops"]
    assert mine == {
        "id": shop,
        "slug": "casa-da-ana",
        "name": "Casa da Ana",
        "status": "approved",
        "role": "owner",
    }


async def test_an_account_that_fails_the_identity_check_restricts_the_shop(stage: Stage) -> None:
    owner, admin = await stage.person(), await stage.person("admin")
    shop = await _shop_at(stage, owner, "restricted", name="Restricted goods")
    assert (await _decide(stage, admin, shop, "approve")).code == "shop.wrong_status"
    await _provider_says(stage, shop, "verified")
    assert (await _decide(stage, admin, shop, "approve")).status == 200


async def test_the_account_is_opened_once_however_often_the_job_runs(stage: Stage) -> None:
    owner = await stage.person()
    shop = await _shop_at(stage, owner, "verified")
    account = await stage.fetchval("SELECT provider_account FROM shops WHERE id = $1", UUID(shop))
    again = "UPDATE jobs SET state = 'ready', finished_at = NULL WHERE kind = 'users.verify_shop' RETURNING 1"
    await stage.fetchval(again)
    assert await stage.work_off() == 1
    # As if the answer of the provider had been lost: the same key gives the same account.
    await stage.fetchval(
        "UPDATE shops SET status = 'applied', provider_account = NULL WHERE id = $1 RETURNING 1",
        UUID(shop),
    )
    await stage.fetchval(again)
    await stage.work_off()
    assert await stage.fetchval("SELECT provider_account FROM shops") == account
    assert await stage.fetchval("SELECT count(*) FROM sandbox.accounts") == 1


async def test_only_the_confirmed_apply(stage: Stage) -> None:
    address = new_address()
    await stage.sign_up(address)
    access = (await stage.log_in(address)).body["access_token"]
    wanted = {"name": "Casa", "country": "PT", "currency": "EUR"}
    answer = await stage.post("/v1/shops", wanted, access)
    assert (answer.status, answer.code) == (403, "auth.email_unverified")
    assert (await stage.post("/v1/shops", wanted)).status == 401


async def test_an_application_names_real_places_and_money(stage: Stage) -> None:
    owner = await stage.person()
    assert (await _apply(stage, owner, country="ZZ")).code == "address.unknown_country"
    assert (await _apply(stage, owner, currency="XXX")).code == "money.unknown_currency"


async def test_a_wished_slug_is_taken_once_and_made_ones_give_way(stage: Stage) -> None:
    ana, rui = await stage.person(), await stage.person()
    assert (await _apply(stage, ana, slug="private")).body["slug"] == "private"
    taken = await _apply(stage, rui, slug="private")
    assert (taken.status, taken.code, taken.body["field"]) == (409, "shop.slug_taken", "$.slug")
    answers = await asyncio.gather(*(_apply(stage, person) for person in (ana, rui, ana, rui)))
    slugs = [answer.body["slug"] for answer in answers]
    assert len(set(slugs)) == 4
    assert all(slug.startswith("casa-da-ana") for slug in slugs)
    assert (await stage.get("/v1/shops/by-slug/private", ana.access)).body["slug"] == "private"


async def test_one_person_has_a_handful_of_shops_even_when_applying_at_once(stage: Stage) -> None:
    owner = await stage.person()
    answers = await asyncio.gather(*(_apply(stage, owner) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [201] * 5 + [422] * 3
    assert {answer.code for answer in answers} == {"", "shop.too_many"}


async def test_a_repeated_application_with_the_same_key_makes_one_shop(stage: Stage) -> None:
    owner = await stage.person()
    wanted = {"name": "Casa", "country": "PT", "currency": "EUR"}
    answers = [
        await stage.call(
            "POST", "/v1/shops", wanted, token=owner.access, headers={"Idempotency-Key": "k"}
        )
        for _ in range(2)
    ]
    assert answers[0].body == answers[1].body
    assert len((await stage.get("/v1/me", owner.access)).body["shops"]) == 1


async def test_a_suspension_hides_the_shop_and_its_listings_and_can_be_lifted(stage: Stage) -> None:
    owner, admin = await stage.person(), await stage.person("admin")
    shop = await _shop_at(stage, owner, "verified")
    await _decide(stage, admin, shop, "approve")
    await _publish_product(stage, owner, shop)
    before = await _resyncs(stage)
    suspended = await _decide(stage, admin, shop, "suspend", "Counterfeit jugs.")
    assert (suspended.body["status"], suspended.body["status_reason"]) == (
        "suspended",
        "Counterfeit jugs.",
    )
    assert await _resyncs(stage) == before + 1
    assert (await stage.get(f"/v1/shops/{shop}")).status == 404
    assert (await stage.get(f"/v1/shops/{shop}", owner.access)).body["status"] == "suspended"
    assert (await _decide(stage, admin, shop, "suspend")).code == "shop.wrong_status"
    reinstated = await _decide(stage, admin, shop, "reinstate", "Sorted out.")
    assert reinstated.body["status"] == "approved"
    assert await _resyncs(stage) == before + 2
    assert (await stage.get(f"/v1/shops/{shop}")).status == 200
    assert (await _kinds(stage, shop))[-2:] == ["shop.suspended", "shop.reinstated"]
    inbox = await stage.events(inbox_topic(owner.id))
    assert [event["reason"] for event in inbox[-2:]] == ["Counterfeit jugs.", "Sorted out."]


async def test_an_open_shop_that_the_provider_restricts_is_hidden_at_once(stage: Stage) -> None:
    owner, admin = await stage.person(), await stage.person("admin")
    shop = await _shop_at(stage, owner, "verified")
    await _decide(stage, admin, shop, "approve")
    await _publish_product(stage, owner, shop)
    before = await _resyncs(stage)
    await _provider_says(stage, shop, "restricted")
    await _provider_says(stage, shop, "restricted")
    assert await _resyncs(stage) == before + 1
    assert (await stage.get(f"/v1/shops/{shop}")).status == 404
    assert (await _kinds(stage, shop)).count("shop.restricted") == 1
    await _provider_says(stage, shop, "verified")
    private = await stage.get(f"/v1/shops/{shop}/private", owner.access)
    assert (private.body["status"], private.body["provider_status"]) == ("verified", "verified")
    assert await _resyncs(stage) == before + 1
    await _decide(stage, admin, shop, "approve")
    assert await _resyncs(stage) == before + 2


async def test_what_the_provider_says_during_a_suspension_counts_when_it_is_lifted(
    stage: Stage,
) -> None:
    owner, admin = await stage.person(), await stage.person("admin")
    shop = await _shop_at(stage, owner, "verified")
    await _decide(stage, admin, shop, "approve")
    await _decide(stage, admin, shop, "suspend")
    await _provider_says(stage, shop, "restricted")
    assert (await _decide(stage, admin, shop, "reinstate")).body["status"] == "restricted"


async def test_a_rejection_is_final_and_says_why(stage: Stage) -> None:
    owner, admin = await stage.person(), await stage.person("admin")
    shop = await _shop_at(stage, owner, "verified")
    bare = await stage.post(f"/v1/admin/shops/{shop}/reject", {}, admin.access)
    assert (bare.status, bare.body["field"]) == (400, "$")
    assert (await _decide(stage, admin, shop, "reject", "No jugs here.")).status == 200
    private = (await stage.get(f"/v1/shops/{shop}/private", owner.access)).body
    assert (private["status"], private["status_reason"]) == ("rejected", "No jugs here.")
    for decision in ("approve", "reject", "suspend", "reinstate"):
        refused = await _decide(stage, admin, shop, decision)
        assert (refused.status, refused.code) == (409, "shop.wrong_status")
        assert refused.body["details"] == {"status": "rejected"}
    await _provider_says(stage, shop, "restricted")
    assert (await stage.get(f"/v1/shops/{shop}/private", owner.access)).body["status"] == "rejected"


async def test_of_two_decisions_at_once_one_counts(stage: Stage) -> None:
    owner, admin = await stage.person(), await stage.person("admin")
    shop = await _shop_at(stage, owner, "verified")
    answers = await asyncio.gather(
        *(_decide(stage, admin, shop, d) for d in ("approve", "reject", "approve", "reject"))
    )
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]


@pytest.mark.parametrize("role", [None, "support", "finance"])
async def test_only_admins_decide(stage: Stage, role: Any) -> None:
    owner, caller = await stage.person(), await stage.person(*([role] if role else []))
    shop = (await _apply(stage, owner)).body["id"]
    for person in (owner, caller):
        for decision in ("approve", "reject", "suspend", "reinstate"):
            refused = await _decide(stage, person, shop, decision)
            assert (refused.status, refused.code) == (403, "auth.not_allowed")
        assert (await stage.get("/v1/admin/shops", person.access)).status == 403
    assert (await stage.post(f"/v1/admin/shops/{shop}/approve", {})).status == 401


async def test_a_closed_shop_is_there_for_its_team_and_staff_only(stage: Stage) -> None:
    owner, stranger = await stage.person(), await stage.person()
    staff = [await stage.person(role) for role in ("support", "finance", "admin")]
    shop = (await _apply(stage, owner)).body["id"]
    for path in (f"/v1/shops/{shop}", "/v1/shops/by-slug/casa-da-ana", f"/v1/shops/{shop}/private"):
        for person in (owner, *staff):
            assert (await stage.get(path, person.access)).status == 200
        hidden = await stage.get(path, stranger.access)
        assert (hidden.status, hidden.code) == (404, "shop.not_found")
    assert (await stage.get(f"/v1/shops/{uuid4()}/private", owner.access)).code == "shop.not_found"


async def test_an_owner_changes_the_profile_and_nobody_else_does(stage: Stage) -> None:
    owner, stranger, admin = await stage.person(), await stage.person(), await stage.person("admin")
    shop = await _shop_at(stage, owner, "verified")
    await _decide(stage, admin, shop, "approve")
    await _publish_product(stage, owner, shop)
    version = (await stage.get(f"/v1/shops/{shop}/private", owner.access)).body["version"]
    change = {"version": version, "name": "Casa Nova"}
    path = f"/v1/shops/{shop}"
    before = await _resyncs(stage)
    assert (await stage.call("PATCH", path, change, token=stranger.access)).status == 404
    assert (await stage.call("PATCH", path, change, token=admin.access)).status == 403
    changed = await stage.call("PATCH", path, change, token=owner.access)
    assert (changed.body["name"], changed.body["version"]) == ("Casa Nova", version + 1)
    assert changed.body["slug"] == "casa-da-ana"
    stale = await stage.call("PATCH", path, change, token=owner.access)
    assert (stale.code, stale.body["details"]) == ("shop.stale_version", {"version": version + 1})
    # Search shows the shop's name beside its products.
    assert await _resyncs(stage) == before + 1
    assert (await _kinds(stage, shop))[-1] == "shop.updated"


async def test_an_admin_reads_applications_page_by_page(stage: Stage) -> None:
    admin = await stage.person("admin")
    owner = await stage.person()
    shops = [(await _apply(stage, owner)).body["id"] for _ in range(3)]
    first = (await stage.get("/v1/admin/shops?status=applied&limit=2", admin.access)).body
    assert [entry["id"] for entry in first["items"]] == shops[:2]
    cursor = first["next_cursor"]
    rest = await stage.get(f"/v1/admin/shops?status=applied&limit=2&cursor={cursor}", admin.access)
    assert [entry["id"] for entry in rest.body["items"]] == shops[2:]
    assert rest.body["next_cursor"] is None
    assert (await stage.get("/v1/admin/shops?status=open", admin.access)).status == 400


async def test_the_provider_s_word_about_an_account_not_yet_remembered_is_tried_again(
    stage: Stage,
) -> None:
    account = Account(reference="acct_unheard_of", status="verified")
    with pytest.raises(Unavailable, match=r"shop\.account_unknown"):
        await stage.market.database.transact(lambda tx: apply_account(tx, account))


async def test_other_services_learn_who_is_on_the_team(
    stage: Stage,
) -> None:
    owner, stranger = await stage.person(), await stage.person()
    shop = ShopId(UUID((await _apply(stage, owner)).body["id"]))
    async with stage.market.database.connection() as con:
        for person, roles in ((owner, {"owner"}), (stranger, set[str]())):
            principal = (await authenticate(stage.market, person.access)).principal
            assert await shop_roles(con, shop, principal) == roles
            assert await shop_roles(con, ShopId(uuid4()), principal) == frozenset()

"""The statement of a shop whose order was paid at the sandbox, as its owner asks for it."""

import csv
import io
from datetime import UTC, datetime, timedelta

from tests.integration.payments.floor import Floor


async def test_an_owner_reads_the_statement_and_downloads_it(floor: Floor) -> None:
    bought = await floor.paid()
    await floor.complete(bought)
    owner = bought.shop.owner
    today = datetime.now(UTC).date()
    days = f"first_day={today - timedelta(days=1)}&last_day={today + timedelta(days=1)}"
    path = f"/v1/shops/{bought.shop.id}/statement"
    status, statement = await floor.api("GET", f"{path}?currency=EUR&{days}", owner)
    assert status == 200
    (line,) = statement["lines"]
    assert (line["kind"], line["order_id"]) == ("order", str(bought.order))
    assert (line["amount_minor"], line["commission_minor"]) == (10_000, -1_000)
    assert statement["closing_minor"] == 9_000

    download = f"{floor.url}{path}.csv?currency=EUR&{days}"
    headers = {"Authorization": f"Bearer {await floor.token(owner)}"}
    async with floor.session.get(download, headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/csv"
        rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert [row["kind"] for row in rows] == ["opening", "order", "closing"]
    assert rows[1]["order"] == str(line["order_number"])
    assert [row["balance"] for row in rows] == ["0.00", "90.00", "90.00"]
    assert rows[1]["commission"] == "-10.00"

    async with floor.session.get(download.replace("EUR", "XXX"), headers=headers) as answer:
        assert answer.status == 400
        assert answer.content_type == "application/problem+json"

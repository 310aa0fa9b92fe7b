"""The OpenAPI document is made from the endpoints' own types and is valid."""

import importlib
import pkgutil
from typing import Annotated, Any
from uuid import uuid4

import msgspec
import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator

import feira.http
from feira.http.call import Call
from feira.http.endpoint import Answer, Endpoint, endpoint
from feira.http.openapi import build_document
from feira.http.routes import ENDPOINTS
from feira.platform.domain.ids import OrderId


class ListStalls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 24
    colour: str


class NewStall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(max_length=80)]


class StallView(msgspec.Struct, frozen=True, kw_only=True):
    id: OrderId
    name: str


@endpoint("GET", "/v1/stalls", service="products", summary="List stalls.", signed_in=False)
async def list_stalls(call: Call, query: ListStalls) -> list[StallView]:
    """Open ones only."""
    assert call
    assert query
    return []


@endpoint("POST", "/v1/stalls", service="products", summary="Open a stall.", status=201)
async def open_stall(call: Call, body: NewStall) -> StallView:
    assert call
    return StallView(id=OrderId(uuid4()), name=body.name)


@endpoint("DELETE", "/v1/stalls/{stall}", service="products", summary="Close a stall.")
async def close_stall(call: Call, stall: OrderId) -> None:
    assert call
    assert stall


@endpoint("GET", "/v1/stalls.csv", service="products", summary="Stalls as CSV.")
async def export_stalls(call: Call) -> web.Response:
    assert call
    return web.Response(text="")


@endpoint("PUT", "/v1/stalls/{stall}", service="products", summary="Rename.", answer=StallView)
async def rename_stall(call: Call, stall: OrderId, body: NewStall) -> Answer:
    assert call
    return Answer(body=StallView(id=stall, name=body.name))


STALLS = (list_stalls, open_stall, close_stall, export_stalls, rename_stall)


def _document(endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    # By way of JSON, as clients get it.
    document = build_document(endpoints, server_url="http://127.0.0.1:8080")
    return msgspec.json.decode(msgspec.json.encode(document))


@pytest.mark.parametrize("endpoints", [STALLS, ENDPOINTS], ids=["sample", "feira"])
def test_the_document_is_valid_openapi_3_1(endpoints: tuple[Endpoint, ...]) -> None:
    OpenAPIV31SpecValidator(_document(endpoints)).validate()


def test_a_query_struct_becomes_parameters_and_leaves_the_components() -> None:
    document = _document(STALLS)
    parameters = document["paths"]["/v1/stalls"]["get"]["parameters"]
    assert [(p["name"], p["in"], p["required"]) for p in parameters] == [
        ("limit", "query", False),
        ("colour", "query", True),
    ]
    assert parameters[0]["schema"]["maximum"] == 100
    assert "ListStalls" not in document["components"]["schemas"]
    assert "StallView" in document["components"]["schemas"]


def test_a_change_takes_an_idempotency_key_and_names_its_body_and_answer() -> None:
    operation = _document(STALLS)["paths"]["/v1/stalls"]["post"]
    assert operation["parameters"] == [{"$ref": "#/components/parameters/IdempotencyKey"}]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/NewStall"}
    answer = operation["responses"]["201"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/StallView"}
    assert operation["security"] == [{"bearer": []}]


def test_a_guest_may_call_what_needs_no_sign_in() -> None:
    assert _document(STALLS)["paths"]["/v1/stalls"]["get"]["security"] == [{}, {"bearer": []}]


def test_nothing_and_raw_answers_have_no_json_schema() -> None:
    paths = _document(STALLS)["paths"]
    assert "content" not in paths["/v1/stalls/{stall}"]["delete"]["responses"]["204"]
    assert "content" not in paths["/v1/stalls.csv"]["get"]["responses"]["200"]


def test_an_answer_with_its_own_status_is_documented_by_its_declared_body() -> None:
    answer = _document(STALLS)["paths"]["/v1/stalls/{stall}"]["put"]["responses"]["200"]
    schema = answer["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/StallView"}


def test_every_operation_has_an_id_of_its_own() -> None:
    operations = [o for path in _document(ENDPOINTS)["paths"].values() for o in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids)) == len(ENDPOINTS)


def test_every_module_with_endpoints_is_served() -> None:
    modules = [
        importlib.import_module(f"feira.http.{module.name}")
        for module in pkgutil.iter_modules(feira.http.__path__)
        if module.name != "routes"
    ]
    declared = {id(e) for module in modules for e in getattr(module, "ENDPOINTS", ())}
    assert declared == {id(e) for e in ENDPOINTS}

"""The AsyncAPI document is made from the protocol's own types, is valid and leaves nothing out."""

import importlib
import pkgutil
import re
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import jsonschema
import msgspec
import pytest

import feira.platform.domain
import feira.ws
from feira.platform.domain.errors import Conflict
from feira.platform.domain.events import Event
from feira.ws.asyncapi import build_document
from feira.ws.asyncapi_examples import EXAMPLES
from feira.ws.close_codes import CloseCode
from feira.ws.error_codes import ERROR_CODES
from feira.ws.events import AnyEvent
from feira.ws.messages import ANSWERS, ErrorBody, Push
from feira.ws.protocol import ClientMessage, decode_frame, error_answer

SPECIFICATION = Path(__file__).parents[1] / "asyncapi" / "schema-3.0.0.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    # By way of JSON, as clients get it.
    return msgspec.json.decode(msgspec.json.encode(build_document("https://feira.example/market")))


@pytest.fixture(scope="module")
def specification() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(msgspec.json.decode(SPECIFICATION.read_bytes()))


def _values_of(node: Any, key: str) -> list[Any]:
    """Every value that stands under a key, however deep."""
    inside: list[Any] = []
    found: list[Any] = []
    if isinstance(node, list):
        inside = cast("list[Any]", node)
    elif isinstance(node, dict):
        mapping = cast("dict[str, Any]", node)
        inside = list(mapping.values())
        found = [mapping[key]] if key in mapping else []
    return found + [value for one in inside for value in _values_of(one, key)]


def _resolve(document: dict[str, Any], reference: str) -> Any:
    assert reference.startswith("#/")
    node: Any = document
    for part in reference[2:].split("/"):
        node = node[part]
    return node


def test_the_document_is_valid_asyncapi_3(
    document: dict[str, Any], specification: jsonschema.Draft7Validator
) -> None:
    assert [error.message for error in specification.iter_errors(document)] == []


def test_the_specification_would_notice_a_wrong_document(
    document: dict[str, Any], specification: jsonschema.Draft7Validator
) -> None:
    for path, wrong in (
        (("operations", "command.send", "action"), "shout"),
        (("channels", "socket", "messages", "push.event"), {"payload": 1}),
        (("components", "schemas", "Cursor", "type"), "map"),
    ):
        broken = deepcopy(document)
        *parents, last = path
        _resolve(broken, "#/" + "/".join(parents))[last] = wrong
        assert not specification.is_valid(broken), path


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = _values_of(document, "$ref")
    assert len(references) > 100
    for reference in references:
        assert _resolve(document, reference)


def test_every_schema_is_used(document: dict[str, Any]) -> None:
    used = {reference.rpartition("/")[2] for reference in _values_of(document, "$ref")}
    assert document["components"]["schemas"].keys() <= used


def test_every_command_answer_and_push_is_described(document: dict[str, Any]) -> None:
    commands = {field.name for field in msgspec.structs.fields(ClientMessage)} - {"id"}
    pushes = {field.name for field in msgspec.structs.fields(Push)}
    assert ANSWERS.keys() == commands
    wanted = {f"command.{name}" for name in commands} | {f"push.{name}" for name in pushes}
    wanted |= {f"answer.{name}" for name, answer in ANSWERS.items() if answer is not None}
    assert document["components"]["messages"].keys() == wanted == EXAMPLES.keys()
    received = {name for name, one in document["operations"].items() if one["action"] == "receive"}
    assert received == {f"command.{name}" for name in commands} | {"stream.open", "commands.post"}
    assert all(message["summary"] for message in document["components"]["messages"].values())


def test_operations_say_only_what_their_channel_carries(document: dict[str, Any]) -> None:
    for operation in document["operations"].values():
        for side in (operation, operation.get("reply", operation)):
            prefix = side["channel"]["$ref"] + "/messages/"
            assert all(one["$ref"].startswith(prefix) for one in side["messages"])


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_example_is_read_by_its_reader_and_fits_its_schema(
    document: dict[str, Any], name: str
) -> None:
    message = document["components"]["messages"][name]
    [example] = [one["payload"] for one in message["examples"]]
    schema = message["payload"] | {"components": document["components"]}
    jsonschema.Draft7Validator(schema).validate(example)
    direction, _, key = name.partition(".")
    if direction == "command":
        [incoming] = decode_frame(msgspec.json.encode(example), "json")
        assert incoming.name == key, incoming.command
    elif direction == "answer":
        answer = ANSWERS[key]
        assert answer is not None
        assert example.keys() == {"id", answer[0]}
        msgspec.convert(example[answer[0]], answer[1])
    else:
        msgspec.convert({key: example[key]}, Push)


def test_commands_are_closed_and_what_the_server_says_may_grow(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["Send"]["additionalProperties"] is False
    assert schemas["SeenPosition"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["TopicEvent"]
    assert "additionalProperties" not in schemas["MessagePosted"]


def test_every_event_is_described() -> None:
    modules = [
        importlib.import_module(f"feira.platform.domain.{module.name}")
        for module in pkgutil.iter_modules(feira.platform.domain.__path__)
    ]
    kinds = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Event)
    }
    # Bases have no tag of their own: msgspec gives them their name.
    concrete = {kind for kind in kinds if kind.__struct_config__.tag != kind.__name__}
    assert concrete == set(AnyEvent.__args__)


def test_every_code_of_the_socket_itself_is_described(document: dict[str, Any]) -> None:
    folder = Path(feira.ws.__path__[0])
    # Refused requests are problems of HTTP.
    session = ["protocol.py", "session.py", "commands.py"]
    text = "".join((folder / name).read_text() for name in session)
    raised = set(re.findall(r'"((?:socket|request|topic)\.[a-z_]+)"', text))
    assert raised <= ERROR_CODES.keys()
    assert document["x-error-codes"] == ERROR_CODES
    codes = document["channels"]["socket"]["x-close-codes"]
    described = {one["code"]: one for one in codes}
    assert described.keys() == {int(code) for code in CloseCode}
    final = {code for code, one in described.items() if not one["reconnect"]}
    assert final == {3500, 3501, 3502, 3503}


def test_an_error_has_what_its_type_says() -> None:
    error = Conflict("a.b", "Too late.", field="$.x", retry_after_s=1.5, details={"now": 1})
    told = msgspec.json.decode(error_answer(7, error, "json").data)
    assert told["id"] == 7
    assert msgspec.convert(told["error"], ErrorBody) == ErrorBody(
        code="a.b",
        message="Too late.",
        retryable=False,
        field="$.x",
        retry_after=1.5,
        details={"now": 1},
    )
    plain = msgspec.json.decode(error_answer(None, Conflict("a.b", "Too late."), "json").data)
    assert plain == {"error": {"code": "a.b", "message": "Too late.", "retryable": False}}


def test_servers_are_where_the_market_is_public(document: dict[str, Any]) -> None:
    assert document["servers"]["websocket"] == {
        "host": "feira.example",
        "pathname": "/market",
        "protocol": "wss",
    }
    assert document["servers"]["http"]["protocol"] == "https"

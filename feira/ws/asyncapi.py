"""The AsyncAPI 3.0 document of the socket and its fallback, made from the protocol's own types."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

import feira
from feira.platform.runtime.config import Config
from feira.ws.asyncapi_examples import EXAMPLES
from feira.ws.close_codes import CloseCode
from feira.ws.error_codes import ERROR_CODES
from feira.ws.messages import ANSWERS, Push
from feira.ws.protocol import SUBPROTOCOLS, ClientMessage

_REF_PREFIX: Final = "#/components/schemas/"
_OVERVIEW: Final = """\
One socket for everything live: chat, orders, offers, stock, notifications.

A message is a map with at most an `id` and exactly one other key, which says what it is. The `id` that a client gives
a command stands in its answer; a command without one is answered only when it fails. Commands are checked strictly:
unknown fields are errors. What the server says may grow: ignore keys, fields and kinds of events that you do not know.

Where WebSockets do not get through, `/v1/socket/stream` and `/v1/socket/commands` carry the same messages over HTTP.
"""
_SOCKET: Final = """\
Subprotocol `feira.v1.json` (default): text frames, one message a line. `feira.v1.msgpack`: binary frames, one message
or an array of them, of the same maps. The first message is `connect`, within 5 s.
"""
_STREAM: Final = """\
The body of the request is the first frame, with `connect`. The answer is `text/event-stream` without an end; an event's
data is a frame, one message a line. It begins with `stream`.
"""
_COMMANDS: Final = """\
The body of a request is a frame of commands, one a line; so is the answer, `application/x-ndjson`. `subscribe`,
`unsubscribe`, `typing` and `refresh` are about a stream: they need `?stream=ID`, and are answered on it.
"""
_ADDRESSES: Final = {
    "socket": "/v1/socket",
    "stream": "/v1/socket/stream",
    "commands": "/v1/socket/commands",
}


class _Part(NamedTuple):
    """A message: the key that says what it is, the type of the value, and whether it has an `id`."""

    key: str
    kind: Any
    identified: bool


def build_document(public_url: str) -> dict[str, Any]:
    """Describe what clients and the server say, in plain JSON types."""
    commands, answers, pushes = _commands(), _answers(), _pushes()
    said = commands | answers | pushes
    schemas, components = _schemas(commands, answers | pushes)
    anything = [*answers, *(name for name in pushes if name != "push.stream")]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Feira socket",
            "version": feira.__version__,
            "description": _OVERVIEW,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": _servers(public_url),
        "channels": {
            "socket": _channel("socket", _SOCKET, [*commands, *anything])
            | {"bindings": {"ws": _websocket_binding()}, "x-close-codes": _close_codes()},
            "stream": _channel("stream", _STREAM, ["command.connect", *answers, *pushes]),
            "commands": _channel(
                "commands",
                _COMMANDS,
                [*(name for name in commands if name != "command.connect"), *answers, "push.error"],
            ),
        },
        "operations": _operations(commands, pushes)
        | _fallback_operations(commands, answers, pushes),
        "components": {
            "messages": {name: _message(name, part, schemas[name]) for name, part in said.items()},
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
        "x-error-codes": ERROR_CODES,
    }


def document_routes(config: Config) -> list[web.RouteDef]:
    """`/asyncapi.json`, encoded once."""
    encoded = msgspec.json.encode(build_document(config.public_url))

    async def asyncapi(_request: web.Request) -> web.Response:
        return web.Response(
            body=encoded,
            content_type="application/json",
            headers={"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"},
        )

    return [web.get("/asyncapi.json", asyncapi)]


# Messages.


def _fields(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """What may stand in a message beside its `id`, by its key."""
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    return {
        field.encode_name: field.type.cls
        for field in info.fields
        if isinstance(field.type, msgspec.inspect.StructType)
    }


def _commands() -> dict[str, _Part]:
    return {
        f"command.{name}": _Part(name, kind, identified=True)
        for name, kind in _fields(ClientMessage).items()
    }


def _answers() -> dict[str, _Part]:
    return {
        f"answer.{name}": _Part(answer[0], answer[1], identified=True)
        for name, answer in ANSWERS.items()
        if answer is not None
    }


def _pushes() -> dict[str, _Part]:
    # An error answers a command, and has no id where the command had none.
    return {
        f"push.{name}": _Part(name, kind, identified=name == "error")
        for name, kind in _fields(Push).items()
    }


def _schemas(
    said: dict[str, _Part], heard: dict[str, _Part]
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """The schema of each message's value, and all that they refer to."""
    ours, strict = _schemas_of(said)
    theirs, open_ones = _schemas_of(heard)
    for schema in open_ones.values():
        schema.pop("additionalProperties", None)
    components = open_ones | strict
    for schema in components.values():
        _drop_discriminators(schema)
    return ours | theirs, components


def _schemas_of(parts: dict[str, _Part]) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    schemas, components = msgspec.json.schema_components(
        [part.kind for part in parts.values()], ref_template=_REF_PREFIX + "{name}"
    )
    return dict(zip(parts, schemas, strict=True)), components


def _drop_discriminators(node: object) -> None:
    # AsyncAPI's is another than JSON Schema users mean; each alternative names its own tag anyway.
    if isinstance(node, dict):
        mapping = cast("dict[str, object]", node)
        if isinstance(mapping.get("discriminator"), dict) and "anyOf" in mapping:
            del mapping["discriminator"]
        for value in mapping.values():
            _drop_discriminators(value)
    elif isinstance(node, list):
        for value in cast("list[object]", node):
            _drop_discriminators(value)


def _message(name: str, part: _Part, schema: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {part.key: schema}
    required = [part.key]
    message: dict[str, Any] = {"name": name, "title": part.key, "summary": _summary(part.kind)}
    if part.identified:
        properties = {"id": {"type": "integer", "minimum": 0, "maximum": 2**53}} | properties
        message["correlationId"] = {"location": "$message.payload#/id"}
    if name.startswith("answer."):
        required = ["id", part.key]
    payload: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
    if name.startswith("command."):
        payload["additionalProperties"] = False
    message["payload"] = payload
    message["examples"] = [{"payload": EXAMPLES[name]}]
    return message


def _summary(kind: type[msgspec.Struct]) -> str:
    assert kind.__doc__, f"{kind.__name__} says nothing of itself"
    return kind.__doc__.strip().split("\n\n", maxsplit=1)[0].replace("\n", " ")


# Where they are said.


def _servers(public_url: str) -> dict[str, Any]:
    public = urlsplit(public_url)
    secure = "s" if public.scheme == "https" else ""
    server: dict[str, Any] = {"host": public.netloc}
    if public.path.rstrip("/"):
        server["pathname"] = public.path.rstrip("/")
    return {
        "websocket": server | {"protocol": f"ws{secure}"},
        "http": server | {"protocol": f"http{secure}"},
    }


def _channel(name: str, description: str, messages: list[str]) -> dict[str, Any]:
    server = "websocket" if name == "socket" else "http"
    return {
        "address": _ADDRESSES[name],
        "description": description,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {one: {"$ref": f"#/components/messages/{one}"} for one in messages},
    }


def _websocket_binding() -> dict[str, Any]:
    subprotocol = {"type": "string", "enum": list(SUBPROTOCOLS)}
    headers = {"type": "object", "properties": {"Sec-WebSocket-Protocol": subprotocol}}
    return {"method": "GET", "headers": headers, "bindingVersion": "0.1.0"}


def _close_codes() -> list[dict[str, Any]]:
    return [
        {"code": int(code), "reason": code.reason, "reconnect": code.reconnect}
        for code in CloseCode
    ]


def _operation(action: str, channel: str, messages: list[str], summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": _said_on(channel, messages),
    }


def _reply(channel: str, messages: list[str]) -> dict[str, Any]:
    return {
        "reply": {
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": _said_on(channel, messages),
        }
    }


def _said_on(channel: str, messages: list[str]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages]


def _operations(commands: dict[str, _Part], pushes: dict[str, _Part]) -> dict[str, Any]:
    """What is said on the socket. AsyncAPI looks from the server: it receives commands."""
    operations: dict[str, Any] = {}
    for name, part in commands.items():
        answers = ["push.error"]
        if ANSWERS[part.key] is not None:
            answers.insert(0, f"answer.{part.key}")
        operations[name] = _operation("receive", "socket", [name], _summary(part.kind)) | _reply(
            "socket", answers
        )
    for name, part in pushes.items():
        if name != "push.stream":
            operations[name] = _operation("send", "socket", [name], _summary(part.kind))
    return operations


def _fallback_operations(
    commands: dict[str, _Part], answers: dict[str, _Part], pushes: dict[str, _Part]
) -> dict[str, Any]:
    posted = [name for name in commands if name != "command.connect"]
    stream_id = {"type": "object", "properties": {"stream": {"type": "string", "format": "uuid"}}}
    return {
        "stream.open": _operation("receive", "stream", ["command.connect"], "Open a stream.")
        | _reply("stream", ["push.stream", "answer.connect", "push.error"])
        | {"bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}}},
        "stream.push": _operation(
            "send", "stream", [*answers, *pushes], "What a socket would hear."
        ),
        "commands.post": _operation("receive", "commands", posted, "Say what a socket would say.")
        | _reply("commands", [*answers, "push.error"])
        | {
            "security": [{"$ref": "#/components/securitySchemes/bearer"}],
            "bindings": {"http": {"method": "POST", "query": stream_id, "bindingVersion": "0.3.0"}},
        },
    }

"""One example of every message, for the AsyncAPI document; a test reads them as the server and clients do."""

from __future__ import annotations

from typing import Any, Final

_USER: Final = "01963a1e-5f00-7000-8000-000000000001"
_CONVERSATION: Final = "01963a1e-5f00-7000-8000-000000000002"
_ORDER: Final = "01963a1e-5f00-7000-8000-000000000003"
_OFFER: Final = "01963a1e-5f00-7000-8000-000000000004"
_CLIENT_ID: Final = "01963a1e-5f00-7000-8000-000000000005"
_OTHER: Final = "01963a1e-5f00-7000-8000-000000000006"
_AT: Final = "2026-03-01T12:00:00Z"
_TOPIC: Final = f"conversation:{_CONVERSATION}"
_EPOCH: Final = "9a5d8b2cc61c"
_TEXT: Final = {"kind": "message", "sender": _USER, "client_id": _CLIENT_ID, "text": "Bom dia"}
_ENTRY: Final = {"seq": 122, "at": _AT, "body": _TEXT}
_LOGGED: Final = {"seq": 122, "at": _AT}
_STANDING: Final[dict[str, Any]] = {
    "recovered": True,
    "seq": 122,
    "epoch": _EPOCH,
    "events": [_ENTRY],
}
_MEMBER: Final[dict[str, Any]] = {
    "user_id": _USER,
    "display_name": "Ana",
    "role": "buyer",
    "read_seq": 121,
    "delivered_seq": 122,
    "last_seen_at": None,
    "last_seen_visible": True,
}

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "command.connect": {
        "id": 1,
        "connect": {"token": "ACCESS TOKEN", "resume": {_TOPIC: {"seq": 121, "epoch": _EPOCH}}},
    },
    "command.subscribe": {"id": 2, "subscribe": {"topic": _TOPIC, "seq": 121, "epoch": _EPOCH}},
    "command.unsubscribe": {"id": 3, "unsubscribe": {"topic": _TOPIC}},
    "command.send": {
        "id": 4,
        "send": {"topic": _TOPIC, "client_id": _CLIENT_ID, "text": "Bom dia"},
    },
    "command.edit": {
        "id": 5,
        "edit": {"topic": _TOPIC, "message": 122, "client_id": _CLIENT_ID, "text": "Boa tarde"},
    },
    "command.delete": {"id": 6, "delete": {"topic": _TOPIC, "message": 122}},
    "command.react": {
        "id": 7,
        "react": {"topic": _TOPIC, "message": 122, "client_id": _CLIENT_ID, "emoji": "👍"},
    },
    "command.read": {"id": 8, "read": {"topic": _TOPIC, "seq": 122}},
    "command.delivered": {"id": 9, "delivered": {"topic": _TOPIC, "seq": 122}},
    "command.typing": {"typing": {"topic": _TOPIC}},
    "command.order": {
        "id": 10,
        "order": {
            "order": _ORDER,
            "idempotency_key": "ship-1",
            "command": {"action": "ship", "carrier": "CTT", "tracking_number": "RR1"},
        },
    },
    "command.make_offer": {
        "id": 11,
        "make_offer": {
            "topic": _TOPIC,
            "idempotency_key": "offer-1",
            "offer": {"variant": _OTHER, "unit_price_minor": 800, "currency": "EUR"},
        },
    },
    "command.offer": {
        "id": 12,
        "offer": {"offer": _OFFER, "idempotency_key": "yes-1", "command": {"action": "accept"}},
    },
    "command.refund": {
        "id": 15,
        "refund": {
            "order": _ORDER,
            "idempotency_key": "sorry-1",
            "refund": {"amount_minor": 500, "reason": "Sorry for the wait."},
        },
    },
    "command.request_return": {
        "id": 16,
        "request_return": {
            "order": _ORDER,
            "idempotency_key": "back-1",
            "request": {"cause": "damaged", "lines": [{"line": _OTHER, "quantity": 1}]},
        },
    },
    "command.command_return": {
        "id": 17,
        "command_return": {
            "returned": _OFFER,
            "idempotency_key": "yes-2",
            "command": {"action": "approve"},
        },
    },
    "command.refresh": {"id": 13, "refresh": {"token": "NEWER ACCESS TOKEN"}},
    "command.ping": {"id": 14, "ping": {}},
    "answer.connect": {
        "id": 1,
        "connect": {
            "session": _OTHER,
            "user": _USER,
            "ping": 25,
            "expires_at": _AT,
            "topics": {_TOPIC: _STANDING | {"state": {"members": [_MEMBER], "online": [_USER]}}},
        },
    },
    "answer.subscribe": {"id": 2, "subscribe": {"topic": _TOPIC} | _STANDING | {"state": {}}},
    "answer.unsubscribe": {"id": 3, "ok": {}},
    "answer.send": {"id": 4, "ok": _LOGGED},
    "answer.edit": {"id": 5, "ok": _LOGGED},
    "answer.delete": {"id": 6, "ok": _LOGGED},
    "answer.react": {"id": 7, "ok": _LOGGED},
    "answer.read": {"id": 8, "ok": {}},
    "answer.delivered": {"id": 9, "ok": {}},
    "answer.order": {"id": 10, "ok": {"version": 4, "status": "shipped"}},
    "answer.make_offer": {
        "id": 11,
        "ok": {"offer": _OFFER, "status": "open", "order": None, "group": None},
    },
    "answer.offer": {
        "id": 12,
        "ok": {"offer": _OFFER, "status": "accepted", "order": _ORDER, "group": _OTHER},
    },
    "answer.refund": {
        "id": 15,
        "ok": {"refund": _OTHER, "amount_minor": 500, "state": "requested"},
    },
    "answer.request_return": {
        "id": 16,
        "ok": {"returned": _OFFER, "status": "requested", "version": 1, "replacement_order": None},
    },
    "answer.command_return": {
        "id": 17,
        "ok": {"returned": _OFFER, "status": "approved", "version": 2, "replacement_order": None},
    },
    "answer.refresh": {"id": 13, "ok": {"expires_at": _AT}},
    "answer.ping": {"id": 14, "ok": {}},
    "push.event": {"event": {"topic": _TOPIC} | _ENTRY},
    "push.cursor": {
        "cursor": {"topic": _TOPIC, "user": _USER, "read_seq": 122, "delivered_seq": 122}
    },
    "push.unread": {"unread": {"conversation": _CONVERSATION, "seq": 122, "unread": 3}},
    "push.presence": {"presence": {"topic": _TOPIC, "user": _USER, "online": True}},
    "push.presence_count": {"presence_count": {"topic": _TOPIC, "online": 1234}},
    "push.typing": {"typing": {"topic": _TOPIC, "user": _USER}},
    "push.attachment": {
        "attachment": {
            "topic": _TOPIC,
            "id": _OTHER,
            "state": "ready",
            "width": 1200,
            "height": 800,
        }
    },
    "push.traffic": {
        "traffic": {
            "topic": "ops",
            "node": "web-1",
            "actors": 1200,
            "watchers": 3400,
            "mailbox_depth": 2,
        }
    },
    "push.unsubscribed": {"unsubscribed": {"topic": _TOPIC, "reason": "resync"}},
    "push.stream": {"stream": {"id": _OTHER}},
    "push.disconnect": {"disconnect": {"code": 3001, "reason": "draining", "retry_ms": [0, 5000]}},
    "push.error": {
        "id": 4,
        "error": {
            "code": "request.invalid",
            "message": "Expected `int`, got `str`.",
            "retryable": False,
            "field": "$.send.reply_to",
        },
    },
}

"""A conversation as it reads now, made of history pages and the events after them.

Whatever mixture of pages and events it was made of, it is the same: a change says the whole of what is so, and one that
a page has already changes nothing.
"""

from __future__ import annotations

from typing import Any, Final

from feira.client.topic_log import Event

QUOTE_CHARS_MAX: Final = 120


class Thread:
    """`entries` are as `GET /v1/conversations/{id}/messages` has them, by `seq`."""

    def __init__(self) -> None:
        self.entries: dict[int, dict[str, Any]] = {}

    @property
    def items(self) -> list[dict[str, Any]]:
        """All entries in their order."""
        return [self.entries[seq] for seq in sorted(self.entries)]

    def load(self, page: dict[str, Any]) -> None:
        """Take a page of history, as it reads at the page's `seq`."""
        for item in page["items"]:
            self.entries[item["seq"]] = item

    def apply(self, event: Event) -> None:
        """Take the next event of the conversation's log."""
        body = event.body
        match body["kind"]:
            case "message.edited":
                self._edit(body, event.at)
            case "message.deleted":
                self._delete(body["message"], event.at)
            case "reaction.added" | "reaction.removed":
                self._react(body, added=body["kind"] == "reaction.added")
            case _ if event.seq not in self.entries:
                self.entries[event.seq] = {
                    "seq": event.seq,
                    "at": event.at,
                    "body": dict(body),
                    "reactions": [],
                    "reply": self._quote(body.get("reply_to")),
                }
            case _:
                pass

    def _edit(self, edited: dict[str, Any], at: str) -> None:
        # Without a text it is the log of a message that was deleted later.
        if "text" not in edited:
            return
        entry = self._changeable(edited["message"])
        if entry is not None:
            body = {name: value for name, value in entry["body"].items() if name != "warnings"}
            said = {name: edited[name] for name in ("text", "warnings") if name in edited}
            entry["body"] = body | said | {"edited_at": at}
        self._requote(edited["message"], edited["text"])

    def _delete(self, message: int, at: str) -> None:
        entry = self.entries.get(message)
        if entry is not None:
            kept = {name: entry["body"][name] for name in ("kind", "sender", "client_id")}
            entry |= {"body": kept | {"deleted_at": at}, "reactions": [], "reply": None}
        self._requote(message, None, deleted=True)

    def _react(self, body: dict[str, Any], *, added: bool) -> None:
        entry = self._changeable(body["message"])
        if entry is None:
            return
        users = {each["emoji"]: each["users"] for each in entry["reactions"]}
        present = users.setdefault(body["emoji"], [])
        if added and body["by"] not in present:
            present.append(body["by"])
        elif not added and body["by"] in present:
            present.remove(body["by"])
        entry["reactions"] = [
            {"emoji": emoji, "users": users[emoji]} for emoji in sorted(users) if users[emoji]
        ]

    def _changeable(self, message: int) -> dict[str, Any] | None:
        entry = self.entries.get(message)
        return None if entry is None or "deleted_at" in entry["body"] else entry

    def _quote(self, message: int | None) -> dict[str, Any] | None:
        """The beginning of a message that is here; of one that is not, `GET …/messages/{seq}` tells."""
        entry = None if message is None else self.entries.get(message)
        if entry is None:
            return None
        body = entry["body"]
        return {
            "seq": entry["seq"],
            "sender": body["sender"],
            "text": _beginning(body.get("text")),
            "deleted": "deleted_at" in body,
        }

    def _requote(self, message: int, text: str | None, *, deleted: bool = False) -> None:
        for entry in self.entries.values():
            quote = entry["reply"]
            if quote is not None and quote["seq"] == message and not quote["deleted"]:
                quote |= {"text": _beginning(text), "deleted": deleted}


def _beginning(text: str | None) -> str | None:
    return None if text is None else text[:QUOTE_CHARS_MAX]

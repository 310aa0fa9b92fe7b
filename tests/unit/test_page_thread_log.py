"""The page's view of a conversation is the Python client's, whatever happens in it. Runs in Node."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import feira.http
from feira.client.thread import Thread
from feira.client.topic_log import Event

NODE = shutil.which("node")
SCRIPT = Path(feira.http.__file__).with_name("page") / "thread_log.js"
pytestmark = pytest.mark.skipif(NODE is None, reason="no Node here")

PLAYER = """
import { readFileSync } from "node:fs";
const source = readFileSync(process.argv[1], "utf8");
const { ThreadLog } = await import("data:text/javascript," + encodeURIComponent(source));
const threads = JSON.parse(readFileSync(0, "utf8")).map((steps) => {
  const log = new ThreadLog();
  for (const [name, value] of steps) log[name](value);
  return { items: log.items, seq: log.seq };
});
console.log(JSON.stringify(threads));
"""


def play(*threads: list[tuple[str, Any]]) -> list[Any]:
    assert NODE is not None
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", PLAYER, str(SCRIPT)],
        input=json.dumps(threads).encode(),
        capture_output=True,
        check=True,
        timeout=30,
    )
    return json.loads(done.stdout)


def some_log(dice: random.Random) -> list[dict[str, Any]]:
    """A log as the server might write it, and a few entries that it never would."""
    events: list[dict[str, Any]] = []
    said: list[int] = [0]
    for seq in range(1, 80):
        message, by = dice.choice(said), dice.choice(("ana", "rui"))
        emoji = dice.choice(("👍", "❤️", "🇵🇹"))
        bodies: list[dict[str, Any]] = [
            {"kind": "message", "sender": by, "client_id": str(seq), "text": "é" * 150},
            {"kind": "message", "sender": by, "client_id": str(seq), "text": "🐟" * 130, "reply_to": message},
            {"kind": "message", "sender": by, "client_id": str(seq), "deleted_at": "later"},
            {"kind": "message.edited", "message": message, "by": by, "text": f"now {seq}", "warnings": ["link"]},
            {"kind": "message.edited", "message": message, "by": by, "text": f"then {seq}"},
            {"kind": "message.edited", "message": message, "by": by},
            {"kind": "reaction.added", "message": message, "by": by, "emoji": emoji},
            {"kind": "reaction.added", "message": message, "by": "ivo", "emoji": emoji},
            {"kind": "reaction.removed", "message": message, "by": by, "emoji": emoji},
            {"kind": "member.added", "user": by, "display_name": "Ana", "role": "support", "by": by},
        ]  # fmt: skip
        if dice.random() < 0.03:
            bodies = [{"kind": "message.deleted", "message": message, "by": by}]
        body = dice.choice(bodies)
        if body["kind"] == "message":
            said.append(seq)
        events.append({"seq": seq, "at": f"at {seq}", "body": body})
    return events


def test_both_clients_make_the_same_of_every_log() -> None:
    logs = [some_log(random.Random(seed)) for seed in range(60)]
    shown = play(*([("apply", event) for event in log] for log in logs))
    for log, thread in zip(logs, shown, strict=True):
        assert thread["seq"] == len(log)
        assert thread["items"] == followed(log).items


def test_events_that_a_page_has_already_change_nothing() -> None:
    log = some_log(random.Random(1))
    now = followed(log)
    page = {"items": now.items, "seq": len(log), "next_before": None}
    steps = [("load", page), *(("apply", event) for event in log)]
    [thread] = play(json.loads(json.dumps(steps)))
    entries = {entry["seq"]: entry for entry in followed(log).items}
    assert {entry["seq"]: entry for entry in thread["items"]} == entries


def followed(log: list[dict[str, Any]]) -> Thread:
    thread = Thread()
    for event in json.loads(json.dumps(log)):
        thread.apply(Event(topic="t", **event))
    return thread

"""The page's view of one topic: every event once and in order, whatever the connection did. Runs in Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import feira.http

NODE = shutil.which("node")
SCRIPT = Path(feira.http.__file__).with_name("page") / "topic_log.js"
pytestmark = pytest.mark.skipif(NODE is None, reason="no Node here")

# Plays steps against a TopicLog and prints what its watcher was told.
PLAYER = """
import { readFileSync } from "node:fs";
const source = readFileSync(process.argv[1], "utf8");
const { TopicLog } = await import("data:text/javascript," + encodeURIComponent(source));
const told = [];
const log = new TopicLog("order:1", { resubscribe: () => told.push(["ask", log.position?.seq ?? null]) });
log.add({
  onEvent: ({ seq }) => told.push(["event", seq]),
  onState: (_state, seq) => told.push(["state", seq]),
  onReset: (seq) => told.push(["reset", seq]),
  onRefused: ({ code }) => told.push(["refused", code]),
});
for (const [name, value] of JSON.parse(process.argv[2])) log[name](value);
console.log(JSON.stringify(told));
"""


def play(*steps: tuple[str, Any]) -> list[list[Any]]:
    assert NODE is not None
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", PLAYER, str(SCRIPT), json.dumps(steps)],
        capture_output=True,
        check=True,
        timeout=30,
    )
    return json.loads(done.stdout)


def answer(
    seq: int, *, epoch: str = "a", recovered: bool = True, events: tuple[int, ...] = ()
) -> Any:
    return {
        "seq": seq,
        "epoch": epoch,
        "recovered": recovered,
        "events": [{"seq": one} for one in events],
        "state": {},
    }


def test_events_after_the_subscription_are_told_in_order() -> None:
    told = play(("resume", answer(4)), ("take", {"seq": 5}), ("take", {"seq": 6}))
    assert told == [["state", 4], ["event", 5], ["event", 6]]


def test_an_event_that_was_told_is_not_told_again() -> None:
    told = play(
        ("resume", answer(4)), ("take", {"seq": 5}), ("take", {"seq": 5}), ("take", {"seq": 3})
    )
    assert told == [["state", 4], ["event", 5]]


def test_events_that_overtake_the_answer_wait_for_it() -> None:
    told = play(("take", {"seq": 4}), ("take", {"seq": 5}), ("resume", answer(4)))
    assert told == [["state", 4], ["event", 5]]


def test_a_gap_is_asked_for_and_filled_before_what_came_after_it() -> None:
    told = play(
        ("resume", answer(4)),
        ("take", {"seq": 7}),
        ("take", {"seq": 8}),
        ("resume", answer(7, events=(5, 6, 7))),
    )
    expected = [["event", 5], ["event", 6], ["event", 7], ["state", 7], ["event", 8]]
    assert told == [["state", 4], ["ask", 4], *expected]


def test_a_resume_replays_what_was_missed_once() -> None:
    told = play(("resume", answer(4)), ("take", {"seq": 5}), ("resume", answer(6, events=(5, 6))))
    assert told == [["state", 4], ["event", 5], ["event", 6], ["state", 6]]


def test_too_much_to_replay_is_a_reset() -> None:
    told = play(
        ("resume", answer(4)), ("resume", answer(900, recovered=False)), ("take", {"seq": 901})
    )
    assert told == [["state", 4], ["reset", 900], ["state", 900], ["event", 901]]


def test_a_rebuilt_log_is_asked_for_anew() -> None:
    told = play(
        ("resume", answer(4)),
        ("take", {"seq": 2, "epoch": "b"}),
        ("resume", answer(2, epoch="b", recovered=False)),
    )
    assert told == [["state", 4], ["ask", 4], ["reset", 2], ["state", 2]]


def test_a_server_that_lost_its_place_is_asked_again_and_a_lost_right_is_told() -> None:
    told = play(
        ("resume", answer(4)),
        ("unsubscribed", {"reason": "resync"}),
        ("unsubscribed", {"reason": "right_lost"}),
    )
    assert told == [["state", 4], ["ask", 4], ["refused", "topic.unsubscribed"]]

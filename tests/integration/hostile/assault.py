"""Random hostility, reproducible by its seed: bytes, frames, messages, and ways to come and go."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import msgspec

from tests.integration.hostile.scene import Scene
from tests.raw_socket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    RawSocket,
    frame,
    handshake_request,
    tcp,
)

_ATTACKERS: Final = 6
_OPCODES: Final = (CONTINUATION, TEXT, TEXT, TEXT, BINARY, CLOSE, PING, PONG, 3, 7, 11, 15)
_HARD: Final[tuple[Any, ...]] = (
    None, True, -1, 0, 2**53, 2**64 - 1, 1.5, 1e300, "", "x" * 5_000, "\ud7ff\u0000", "🦞", "ops", [], [[[]]], {}, {"a": {}},
    "conversation:00000000-0000-0000-0000-000000000000", "inbox:", ":", "order:order:1",
)  # fmt: skip


@dataclass
class Assault:
    """Attackers who each open a socket, misbehave for a while and vanish, over and over."""

    scene: Scene
    seed: int
    sockets: int = 0
    pieces: int = 0
    said: set[str] = field(default_factory=set[str])
    """Which kinds of answers came back: an assault that is never answered does not get far in."""

    async def run(self, *, for_s: float) -> None:
        until = time.monotonic() + for_s
        await asyncio.gather(
            *(
                self._attack(random.Random(f"{self.seed}:{number}"), until)
                for number in range(_ATTACKERS)
            )
        )

    async def _attack(self, dice: random.Random, until: float) -> None:
        while time.monotonic() < until:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                async with tcp(self.scene.port, receive_buffer=dice.choice((None, 4_096))) as raw:
                    self.sockets += 1
                    await self._misbehave(raw, dice)

    async def _misbehave(self, raw: RawSocket, dice: random.Random) -> None:
        if dice.random() < 0.1:
            raw.send(_mutated(handshake_request(), dice))
            await asyncio.sleep(0)
            return
        encoding = dice.choice(("json", "json", "msgpack"))
        await raw.shake_hands({"Sec-WebSocket-Protocol": f"feira.v1.{encoding}"})
        encode = msgspec.json.encode if encoding == "json" else msgspec.msgpack.encode
        opcode = TEXT if encoding == "json" else BINARY
        if dice.random() < 0.7:
            token = dice.choice((self.scene.buyer, self.scene.seller))
            raw.send(frame(opcode, encode({"id": 0, "connect": {"token": token}})))
            if dice.random() < 0.7 and (answer := await raw.receive()) is not None:
                self._note(answer)
        listening = asyncio.create_task(self._listen(raw)) if dice.random() < 0.8 else None
        try:
            for _ in range(dice.randrange(1, 25)):
                raw.send(self._piece(dice, opcode, encode))
                self.pieces += 1
                await raw.sent()
                await asyncio.sleep(dice.choice((0, 0, 0.01)))
                if listening is not None and listening.done():
                    break
            await self._vanish(raw, dice)
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    def _piece(self, dice: random.Random, opcode: int, encode: Callable[[Any], bytes]) -> bytes:
        command = encode(self._command(dice))
        match dice.randrange(14):
            case 0:
                return dice.randbytes(dice.choice((1, 2, 7, 100, 5_000)))
            case 1:
                return _random_frame(dice)
            case 2:
                return frame(opcode, _mutated(command, dice))
            case 3:
                return _mutated(frame(opcode, command), dice)
            case 4:
                cut = dice.randrange(len(command))
                first = frame(opcode, command[:cut], fin=False)
                return first + frame(PING, b"mid") + frame(CONTINUATION, command[cut:])
            case _:
                return frame(opcode, command)

    def _command(self, dice: random.Random) -> Any:
        topic = self.scene.topic
        client_id = str(UUID(int=dice.getrandbits(128)))
        command: dict[str, Any] = dice.choice(
            (
                {"connect": {"token": self.scene.buyer, "resume": {topic: {"seq": 1, "epoch": ""}}}},
                {"subscribe": {"topic": topic}},
                {"subscribe": {"topic": topic, "seq": dice.randrange(5), "epoch": "e"}},
                {"unsubscribe": {"topic": topic}},
                {"read": {"topic": topic, "seq": 1}},
                {"delivered": {"topic": topic, "seq": 1}},
                {"typing": {"topic": topic}},
                {"refresh": {"token": self.scene.seller}},
                {"ping": {}},
                {"order": {"order": client_id, "idempotency_key": "k", "command": {"action": "accept"}}},
            )
        )  # fmt: skip
        command = {"id": dice.choice((1, 2, 2**53, None)), **command}
        if dice.random() < 0.5:
            _spoil(command, dice)
        return command

    async def _listen(self, raw: RawSocket) -> None:
        while (received := await raw.receive()) is not None:
            self._note(received)

    def _note(self, received: Frame) -> None:
        for message in received.messages if received.opcode in {TEXT, BINARY} else []:
            self.said.update(message.keys() - {"id"})

    async def _vanish(self, raw: RawSocket, dice: random.Random) -> None:
        match dice.randrange(4):
            case 0:
                raw.writer.write_eof()
            case 1:
                raw.send(frame(CLOSE, b"\x03\xe8"))
            case 2:
                raw.stall()
            case _:
                # Reset, with whatever is under way.
                return
        await asyncio.sleep(dice.choice((0, 0.02, 0.2)))


def _spoil(value: dict[str, Any], dice: random.Random) -> None:
    """Put something hard somewhere in a command."""
    key = dice.choice(list(value))
    inner = value[key]
    if isinstance(inner, dict) and inner and dice.random() < 0.8:
        value[key] = dict(inner)  # pyright: ignore[reportUnknownArgumentType]
        _spoil(value[key], dice)
    elif dice.random() < 0.2:
        value[dice.choice(("x", "id", "topic", ""))] = dice.choice(_HARD)
    else:
        value[key] = dice.choice(_HARD)


def _random_frame(dice: random.Random) -> bytes:
    return frame(
        dice.choice(_OPCODES),
        dice.randbytes(dice.choice((0, 1, 5, 125, 126, 300, 66_000))),
        fin=dice.random() < 0.7,
        reserved=dice.choice((0, 0, 0, 0, 1, 4)),
        mask=dice.choice((dice.randbytes(4), dice.randbytes(4), b"\0\0\0\0", None)),
        length_bytes=8 if dice.random() < 0.1 else None,
    )


def _mutated(data: bytes, dice: random.Random) -> bytes:
    """Some bytes flipped, dropped, doubled or put in."""
    changed = bytearray(data)
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(changed) + 1)
        match dice.randrange(4):
            case 0 if at < len(changed):
                changed[at] ^= 1 << dice.randrange(8)
            case 1:
                del changed[at : at + dice.randrange(1, 9)]
            case 2:
                changed[at:at] = changed[at : at + 20]
            case _:
                changed[at:at] = dice.randbytes(dice.randrange(1, 5))
    return bytes(changed)

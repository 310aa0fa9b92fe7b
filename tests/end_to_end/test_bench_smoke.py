"""The measurements run, with tiny numbers: their figures come out, and what they check on the way holds.

No word on time: that is `make bench`, on a machine that does nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from bench import bus, chat, checkout, idle
from bench.checkout_goods import cart_of
from bench.live import scenario_rooms
from bench.live.bench import Bench, Sizes
from bench.live.kit import Kit, Unobtainable
from bench.live.peers.compiled import Floor
from bench.live.peers.feira import Feira
from bench.live.peers.python import Naive
from bench.live.report import draw
from bench.live.report import render as render_comparison
from bench.money import bench as money
from bench.money import scenario_jobs
from bench.pgbench_script import Recording, Statement, write_script
from bench.report import Figure, render, write_section
from bench.stage import free_port, open_stage
from feira.platform.runtime.config import Config


@pytest.fixture
def bench_config(config: Config, fresh_database_dsn: str) -> Config:
    """A database of the measurement's own."""
    port = free_port()
    return msgspec.structs.replace(
        config,
        postgres_dsn=fresh_database_dsn,
        port=port,
        public_url=f"http://127.0.0.1:{port}",
    )


def require_whole(figure: Figure) -> None:
    assert all(line.samples > 0 and line.least <= line.median <= line.most for line in figure.lines)
    assert figure.goal in render(figure, "python -m bench")


async def test_a_message_is_compared_with_an_insert(bench_config: Config) -> None:
    async with open_stage(bench_config) as stage:
        figure = await chat.measure_on(stage, chat.SMALL)
    require_whole(figure)
    message, insert, ratio = figure.lines
    assert message.median > insert.median > 0
    assert ratio.samples == chat.SMALL.repetitions


async def test_idle_sockets_stay_open_and_are_weighed(bench_config: Config) -> None:
    async with open_stage(bench_config) as stage:
        sample = await idle.sample_on(stage, idle.SMALL)
    require_whole(idle.figure_of([sample], idle.SMALL))
    assert sample.rss_before_mib > 0


async def test_the_bus_is_compared_with_redis_py(redis_url: str) -> None:
    figure = await bus.measure_on(redis_url, bus.SMALL)
    require_whole(figure)
    assert all(line.median > 0 for line in figure.lines)


async def test_the_service_and_pgbench_make_the_same_checkouts(bench_config: Config) -> None:
    """After each run, `measure_on` counts the rows of every table against what was acknowledged."""
    figure = await checkout.measure_on(bench_config, checkout.SMALL)
    require_whole(figure)
    service, pgbench, ratio = figure.lines[:3]
    assert service.median > 0
    assert pgbench.median > 0
    assert ratio.median == pytest.approx(service.median / pgbench.median)


async def test_jobs_are_measured_from_adding_to_the_row(
    bench_config: Config, tmp_path: Path
) -> None:
    bench = money.Bench(stores=bench_config, kit=Kit(tmp_path), is_quick=True, with_peers=False)
    comparison = await scenario_jobs.measure(bench)
    assert [row[0] for row in comparison.rows] == ["queue", "feira", "feira, relay alone"]
    assert render_comparison(comparison, "python -m bench.money", bench.versions, part="money")


async def test_servers_relay_the_same_messages_for_the_same_client(
    bench_config: Config, tmp_path: Path
) -> None:
    """The client itself counts what is lost, doubled or out of order, over thousands of messages."""
    kit = Kit(tmp_path)
    peers = [Feira(), Naive(), Floor()]
    try:
        load_client = await kit.load_client()
        for peer in peers:
            assert await peer.obtain(kit)
    except Unobtainable as error:
        pytest.skip(str(error))
    sizes = Sizes(
        connections=12,
        members=3,
        window=2,
        seconds=0.3,
        warm_up_s=0.1,
        repetitions=1,
        nodes=1,
    )
    bench = Bench(
        stores=bench_config, load_client=load_client, folder=tmp_path, peers=peers, sizes=sizes
    )
    comparison = await scenario_rooms.measure(bench)
    head, *rows = comparison.rows
    found = [dict(zip(head, row, strict=True)) for row in rows]
    assert [row["server"] for row in found] == [peer.name for peer in peers]
    assert {row["lost"] for row in found} == {"none"}
    assert {row["order"] for row in found} == {"same"}
    assert comparison.chart is not None
    assert all(bar.value > 0 for bar in comparison.chart.bars)
    assert draw(comparison.chart).count("<rect") == 1 + len(found)


def test_an_id_of_the_recorded_checkout_alone_is_an_error() -> None:
    cart = cart_of(1)
    stranger = cart_of(2).buyer
    statement = Statement(query="SELECT $1::uuid", arguments=(stranger,))
    now = Statement(query="SELECT now()", arguments=())
    recording = Recording(
        statements=[now, statement], cart=cart, made=[], shared=frozenset(), now=_any_time()
    )
    with pytest.raises(ValueError, match=str(stranger)):
        write_script(recording)


def test_what_pgbench_would_take_for_a_variable_is_an_error() -> None:
    now = Statement(query="SELECT now()", arguments=())
    odd = Statement(query="SELECT 'a:b'", arguments=())
    recording = Recording(
        statements=[now, odd], cart=cart_of(1), made=[], shared=frozenset(), now=_any_time()
    )
    with pytest.raises(ValueError, match="variable"):
        write_script(recording)


def test_a_later_run_replaces_its_own_section_only(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    for section in ("## chat\n\nfirst\n", "## idle\n\nfirst\n", "## chat\n\nsecond\n"):
        write_section(section, file)
    text = file.read_text()
    assert text.startswith("# Results\n")
    assert text.count("## chat") == text.count("## idle") == 1
    assert "second" in text
    assert text.index("## chat") < text.index("## idle")


def _any_time() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)

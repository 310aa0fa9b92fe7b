import pytest

from feira.jobs.handlers import HANDLERS, merge
from feira.platform.domain.jobs import BACKOFF_MAX_S, Purge, backoff_s, kind_of, known_kinds
from feira.platform.runtime.installation import installation_name


def test_every_kind_of_job_has_a_handler() -> None:
    # Tests have kinds of their own.
    kinds = {kind for kind in known_kinds().values() if kind.__module__.startswith("feira.")}
    assert kinds == set(HANDLERS)
    assert len({kind_of(kind) for kind in kinds}) == len(kinds)


def test_a_kind_with_two_handlers_is_refused() -> None:
    with pytest.raises(AssertionError, match="one handler"):
        merge(({Purge: HANDLERS[Purge]}, {Purge: HANDLERS[Purge]}))


def test_waits_double_up_to_an_hour_and_keep_at_least_half() -> None:
    longest = [backoff_s(attempt, 0) for attempt in range(1, 14)]
    assert longest[:4] == [2, 4, 8, 16]
    assert longest[-1] == BACKOFF_MAX_S
    assert backoff_s(10_000, 0) == BACKOFF_MAX_S
    assert backoff_s(3, 0.999) > 4


def test_an_installation_is_named_by_its_database_and_not_by_who_connects() -> None:
    name = installation_name("postgresql://feira:secret@db.example:5432/feira")
    assert name == installation_name("postgresql://other:changed@db.example:5432/feira")
    assert name != installation_name("postgresql://feira:secret@db.example:5432/staging")
    assert name != installation_name("postgresql://feira:secret@db.example:5433/feira")
    assert "secret" not in name
    sockets = [installation_name(f"postgresql:///feira?host=/run/{n}") for n in "ab"]
    assert len(set(sockets)) == 2

import socket

import pytest

from feira.commands.port_hold import PortTakenError, held_port
from feira.platform.runtime.embedded.ports import free_port


def listener(port: int, *, reuse_port: bool = False) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), reuse_port=reuse_port)


def test_servers_share_the_held_port_and_the_holder_takes_no_connection() -> None:
    with held_port("127.0.0.1", 0, explicit=True) as port:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        with listener(port, reuse_port=True), listener(port, reuse_port=True):
            socket.create_connection(("127.0.0.1", port)).close()


def test_a_held_port_is_taken_for_everyone_else_even_before_a_server_listens() -> None:
    with held_port("127.0.0.1", 0, explicit=True) as port:
        with pytest.raises(OSError, match="in use"):
            listener(port)
        with (
            pytest.raises(PortTakenError, match=f"port {port} is taken"),
            held_port("127.0.0.1", port, explicit=True),
        ):
            pass


def test_a_foreign_listener_that_would_share_is_not_joined() -> None:
    port = free_port()
    with (
        listener(port, reuse_port=True),
        pytest.raises(PortTakenError),
        held_port("127.0.0.1", port, explicit=True),
    ):
        pass


def test_a_port_nobody_asked_for_gives_way_to_a_later_one() -> None:
    port = free_port()
    with listener(port), held_port("127.0.0.1", port, explicit=False) as held:
        assert held > port


def test_a_port_is_free_again_afterwards() -> None:
    with held_port("127.0.0.1", 0, explicit=True) as port:
        pass
    listener(port).close()


def test_an_address_of_another_machine_is_said() -> None:
    with (
        pytest.raises(PortTakenError, match=r"cannot listen on 192\.0\.2\.1"),
        held_port("192.0.2.1", 0, explicit=True),
    ):
        pass

"""Who works with the command line, for the audit log."""

from __future__ import annotations

import os
import pwd
import socket

from feira.platform.domain.audit import Machine


def operator() -> Machine:
    """The operating system's user on this machine; a number where it has no name for them, as in a container."""
    try:
        # Never LOGNAME and USER, which anybody sets: the system is asked who runs this.
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return Machine(name=f"{name}@{socket.gethostname()}")

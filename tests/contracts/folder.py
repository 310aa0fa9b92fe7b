"""Where the providers' published descriptions are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def contracts_folder() -> Path:
    """The folder named by FEIRA_CONTRACTS; without it there is nothing to judge by, and the test is skipped."""
    folder = os.environ.get("FEIRA_CONTRACTS")
    if not folder:
        pytest.skip("FEIRA_CONTRACTS names no folder of providers' API descriptions")
    return Path(folder)

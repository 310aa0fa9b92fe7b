"""How long the long tests last."""

from __future__ import annotations

import os
import random
from typing import Final

SOAK_S: Final = float(os.environ.get("FEIRA_SOAK_S", "300"))
# Access tokens live for 15 minutes.
ROUND_S: Final = 300.0


def chosen_seed() -> int:
    """`FEIRA_SEED` of a run that failed, or one of pytest-randomly's choice; printed where a test fails."""
    seed = int(os.environ.get("FEIRA_SEED", "0")) or random.randrange(1, 2**32)
    print(f"FEIRA_SEED={seed}")
    return seed

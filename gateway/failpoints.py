"""Named points at which a test can make the process die, as if the power had gone.

Why this exists: "nothing acknowledged is lost" is only worth what a kill at the worst moment shows. Set
SAMBUD_FAILPOINT to the name of a point, and the process kills itself with SIGKILL when it gets there; without the
variable a point costs one comparison and does nothing.
"""

from __future__ import annotations

import os
import signal
from typing import Final

_ARMED: Final = os.environ.get("SAMBUD_FAILPOINT", "")


def reached(name: str) -> None:
    """Die here when this point is armed."""
    if name == _ARMED:
        os.kill(os.getpid(), signal.SIGKILL)

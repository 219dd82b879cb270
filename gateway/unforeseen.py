"""What nobody foresaw: a bug that one message meets stays with that message, and the rest flows.

Why this exists: a bug ends the process (gateway/workers.py), because a gateway that half works loses messages quietly.
But one message that meets a bug every time, perhaps because somebody outside made it so, would end every process that
looks at it, and stop everybody else's. So trying one delivery, and taking in one arrival, are compartments: the bug is
told by its kind and place, the message is tried again, and the third time it is set aside for a person (Q12).

Rule: only `Exception` is held back here. What ends a process on purpose, and a cancelled task, pass through.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import structlog

from gateway.logs import place_of

#: The try at which a message that met a bug each time is set aside.
STRIKES: Final = 3
_MOST_REMEMBERED: Final = 4096
log = structlog.get_logger()


class Strikes:
    """How often each thing met a bug in this process. A new process counts anew: it may be one that is mended."""

    def __init__(self) -> None:
        self._met: OrderedDict[str, int] = OrderedDict()

    def last(self, what: str, bug: Exception) -> bool:
        """Tell of the bug that `what` met; whether it is to be set aside now."""
        times = self._met.pop(what, 0) + 1
        log.error("unforeseen", what=what, times=times, **place_of(bug))
        if times >= STRIKES:
            return True
        self._met[what] = times
        if len(self._met) > _MOST_REMEMBERED:
            self._met.popitem(last=False)
        return False

"""For every test: hypothesis draws the same examples each time, keeps none on disk, and has no stopwatch.

A red test must be red again on the next machine; slowness is measured in bench/, not by a busy neighbour's clock.
"""

from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile("same-everywhere", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("same-everywhere")

"""placeholder"""

from bench.run import Run


async def measure(run: Run) -> None:
    return

"""Prints how many damaged files each reader was given and what came of them.

`python -m tests.fuzzing 2000` gives each reader about 2,000.
"""

from __future__ import annotations

import sys
import time

from tests.fuzzing.campaign import count_outcomes
from tests.fuzzing.studies import READERS

OUTCOMES = ("read", "refused", "built again")


def main() -> None:
    """Print the table, a reader a line."""
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print("| reader | files | " + " | ".join(OUTCOMES) + " | s |")
    print("|" + "---|" * (len(OUTCOMES) + 3))
    for name in READERS:
        begin = time.monotonic()
        counts = count_outcomes(name, examples)
        cells = " | ".join(str(counts[outcome]) for outcome in OUTCOMES)
        seconds = time.monotonic() - begin
        print(f"| {name} | {counts.total()} | {cells} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()

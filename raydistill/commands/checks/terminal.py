"""What the terminal takes."""

from __future__ import annotations

import os
import shutil
import sys

from raydistill.commands.checks.findings import Problem, Section

PRINTED = "±×─█"
"""Characters that tables and progress bars print."""


def check_terminal() -> Section:
    """Encoding, size, and whether standard output is a terminal at all."""
    encoding = getattr(sys.stdout, "encoding", None) or "unknown"
    size = shutil.get_terminal_size()
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    facts = {
        "encoding": encoding,
        "locale": next(
            (os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)),
            "not set",
        ),
        "output": f"a terminal of {size.columns} columns" if is_terminal else "no terminal",
    }
    try:
        PRINTED.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return Section(
            "terminal",
            facts,
            (
                Problem(
                    f"encoding: {encoding} lacks characters such as the plus-minus sign; ASCII is "
                    "printed in their place",
                    "export LC_ALL=C.UTF-8",
                ),
            ),
        )
    return Section("terminal", facts)

"""What ended a task or a trial: which errors are final, and what they come to in one line.

Only what the same configuration would meet again wherever it runs is final: it diverges, or it is
refused. All else may be the machine's, the network's or the bucket's, and is tried again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ray.exceptions import RayError
from ray.train import ControllerError, TrainingFailedError, WorkerGroupError

from raydistill.config.errors import ConfigError
from raydistill.config.json_text import one_line
from raydistill.data.raw import DataError
from raydistill.tasks.assets import SamplesDivergedError
from raydistill.training.job import TrainingDivergedError, TrainingStoppedError
from raydistill.trials.run import cause_of

FINAL_ERRORS = (TrainingDivergedError, SamplesDivergedError, ConfigError, DataError)
"""What no further attempt would mend."""

LONGEST_CAUSE = 600
"""Characters of a cause that are shown."""


class AttemptError(Exception):
    """An attempt of a trial or task failed and may be repeated; the message is its cause."""


class SweepStoppedError(Exception):
    """A sweep was stopped since nothing in it works; the message says why and how to go on."""


@contextmanager
def failures_told() -> Iterator[None]:
    """Put into one line what the block raises, here where its place in the code is known.

    Raises:
        AttemptError: in place of what may be tried again.
    """
    try:
        yield
    except (*FINAL_ERRORS, TrainingStoppedError, AttemptError):
        raise
    except Exception as error:
        told = cause_of_loss(error) if isinstance(error, RayError) else cause_of(error)
        raise AttemptError(told) from error


def original_error(error: BaseException) -> BaseException:
    """The exception that was raised, from the wrappers of Ray, whose texts are all tracebacks.

    Of several workers that failed together the one that tells most: what is final, then a request
    to stop, then the loss of a process, of which its peers fail as well, then any other.
    """
    if isinstance(error, WorkerGroupError):
        failures = [original_error(failure) for failure in error.worker_failures.values()]
        return min(failures, key=_rank, default=error)
    if isinstance(error, ControllerError):
        return original_error(error.controller_failure)
    inner = getattr(error, "cause", None) or getattr(error, "_base_exc", None)
    inner = inner or getattr(error, "health_check_failure", None)
    return original_error(inner) if isinstance(inner, BaseException) else error


def _rank(error: BaseException) -> int:
    if isinstance(error, FINAL_ERRORS):
        return 0
    if isinstance(error, TrainingStoppedError):
        return 1
    # To its peers a lost process is an error of the connection to it, a RuntimeError of torch.
    return 2 if isinstance(error, RayError) else 3


def cause_line(text: str) -> str:
    """The line of an error's text that says what happened: the last one of a traceback."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = one_line(lines[-1]) if lines else "no reason is known"
    # The wrapper says nothing that its message does not.
    line = line.removeprefix(f"{AttemptError.__module__}.{AttemptError.__qualname__}: ")
    return line if len(line) <= LONGEST_CAUSE else f"{line[:LONGEST_CAUSE]} ..."


def cause_of_loss(error: BaseException) -> str:
    """What a lost process, or a task that failed, came to, in one line."""
    found = original_error(error)
    if isinstance(found, RayError | TrainingFailedError | AttemptError):
        return cause_line(str(found))
    return cause_line(f"{type(found).__name__}: {found}")


def same_cause(one: str, other: str) -> bool:
    """Whether two causes differ only in numbers, such as addresses, processes and request names."""
    return _without_numbers(one) == _without_numbers(other)


def _without_numbers(cause: str) -> str:
    return re.sub(r"\b0x[0-9a-fA-F]+\b|\b[0-9a-f]{16,}\b|\d+", "#", cause)

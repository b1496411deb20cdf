from __future__ import annotations

import os
import signal
import threading

import pytest

from raydistill.cluster.interrupts import Interrupts, remember_interrupts


def test_an_interrupt_that_was_swallowed_is_raised_at_the_next_check() -> None:
    before = signal.getsignal(signal.SIGINT)
    with remember_interrupts() as interrupts:
        interrupts.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_are_left_alone() -> None:
    found: list[Interrupts] = []

    def work() -> None:
        with remember_interrupts() as interrupts:
            interrupts.check()
            found.append(interrupts)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(found) == 1

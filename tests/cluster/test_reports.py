from __future__ import annotations

from raydistill.cluster.reports import REPORT_SECONDS, ReportClock


def test_evaluations_are_always_reported_and_others_once_a_second() -> None:
    now = 0.0
    clock = ReportClock(lambda: now)
    made = []
    for tenth in range(31):  # three seconds of reports every tenth, an evaluation at 1.5
        now = tenth * REPORT_SECONDS / 10
        if clock.is_due(evaluated=tenth == 15):
            made.append(tenth)
    assert made == [0, 10, 15, 25]

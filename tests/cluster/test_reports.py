from __future__ import annotations

from raydistill.cluster.reports import REPORT_SECONDS, ReportClock


def test_evaluations_and_checkpoints_are_reported_and_others_once_a_second() -> None:
    now = 0.0
    clock = ReportClock(lambda: now)
    made = []
    for tenth in range(31):  # three seconds of reports every tenth, an evaluation at 1.5
        saved = 100 if tenth >= 27 else 0  # and a checkpoint at 2.7
        now = tenth * REPORT_SECONDS / 10
        if clock.is_due(tenth == 15, saved):
            made.append(tenth)
    assert made == [0, 10, 15, 25, 27]

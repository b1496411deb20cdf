"""The page of a vocoder sweep: calibration, teacher, students, claim 15, sounds."""

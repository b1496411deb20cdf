"""The radial force on any teacher against the closed form between Gaussians."""

from __future__ import annotations

import torch

from raydistill.metrics.radial_force import radial_force, summarise_radial_force
from raydistill.students.linear import LinearStudent
from raydistill.teachers.gaussian import GaussianTeacher
from raydistill.theory.gaussians import radial_force as closed_form
from raydistill.theory.gaussians import relative
from tests.helpers import normal

T = 5


def test_it_is_the_closed_form_between_gaussians() -> None:
    teacher = GaussianTeacher(
        normal(T, seed=1), normal(T, T, seed=2) + 2.0 * torch.eye(T, dtype=torch.float64)
    )
    student = LinearStudent(normal(T, seed=3), normal(T, T, seed=4) + torch.eye(T).double())
    z = normal(50, T, seed=5)
    seen = relative(student.gaussian(), teacher.gaussian())
    torch.testing.assert_close(radial_force(student, teacher, z), closed_form(z, seen))


def test_a_narrow_student_is_pushed_out_and_a_wide_one_in() -> None:
    teacher = GaussianTeacher(torch.zeros(T).double(), torch.eye(T).double())
    z = normal(200, T, seed=6)
    for scale, share in ((0.5, 1.0), (2.0, 0.0)):
        student = LinearStudent(torch.zeros(T).double(), scale * torch.eye(T).double())
        summary = summarise_radial_force(radial_force(student, teacher, z), T)
        assert summary["outward_fraction"] == share
        # d/dz of z^2 / 2 - (s z)^2 / 2, along z.
        expected = (1 - scale**2) * z.square().sum(1) / T
        assert abs(summary["radial_force_median"] - float(expected.median())) < 0.05
        assert summary["radial_force_low"] <= summary["radial_force_median"]

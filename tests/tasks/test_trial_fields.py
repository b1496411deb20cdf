from __future__ import annotations

import pytest

from raydistill.config.errors import ConfigError
from raydistill.tasks.trial_fields import assignment, axis


def test_values_are_json_or_else_text() -> None:
    assert assignment("student.kind=resnet") == ("student.kind", "resnet")
    assert assignment("seed=3") == ("seed", 3)
    assert axis("data.train_count=null,500,500") == ("data.train_count", (None, 500))
    assert axis("objective.rescale=false,true") == ("objective.rescale", (False, True))


@pytest.mark.parametrize("text", ["seed", "seed=", "seed=1,,2"])
def test_what_is_no_axis_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ConfigError, match=r"vary: .* is no axis; give field=value,value"):
        axis(text)


def test_what_is_no_assignment_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match="set: 'seed' is not an assignment; give field=value"):
        assignment("seed")

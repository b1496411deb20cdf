"""The card beside a student's weights: what it is, what it was measured at, how to load it."""

from __future__ import annotations

from raydistill.console import shell_command
from raydistill.record import Record
from raydistill.tasks.trial_config import TrialConfig

CARD = "card.md"
"""The file's name inside a trial's folder."""

SAMPLE_OPTIONS: dict[str, tuple[str, ...]] = {
    "image": ("--count", "64", "--out", "samples.png"),
    "vocoder": ("--count", "4", "--out", "samples.wav"),
    "gaussian": ("--count", "64", "--out", "samples.npy"),
}
"""Task -> how many samples are worth a look or a listen, and the kind of file they go to."""

ON_TEST = "_test"
"""What the names of floors on the test split end with; see `Task.references`."""

SUFFIXES = ("_matched", "_at_")
"""In the names of metrics that are measured at another prior scale than 1."""


def model_card(record: Record, config: TrialConfig, location: str, parameters: int) -> str:
    """The card of a finished trial, in Markdown.

    Args:
        record: its outcome.
        config: its configuration.
        location: path or URI of its folder.
        parameters: numbers of the student that were trained.
    """
    sections = (
        f"# {_text(record.trial)}: a `{_text(config.student.kind)}` student",
        "\n".join(_facts(record, config, parameters)),
        "## Use it",
        _python(config, location),
        _shell(config, location),
        _scale_advice(record, config),
        "## Metrics on the test split",
        _metrics(record, config),
        "docs/metrics.md of raydistill says what each means. The floors are the same metrics of "
        "the teacher's own samples and of known data.",
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _facts(record: Record, config: TrialConfig, parameters: int) -> list[str]:
    objective = config.objective
    weight = getattr(objective, "l1_weight", None)
    facts = {
        "task": f"{config.task}, {config.describe()}",
        "data set": config.dataset or "none: teachers are drawn",
        "objective": objective.kind,
        "noise on the codes": f"{config.noise_level:g}",
        "l1 weight": "none" if weight is None else f"{weight:g}",
        "student": f"{_fields(config.student.model_dump())}; {parameters:,} parameters",
        "teacher": f"{record.teacher}; {_fields(config.teacher_model.model_dump())}",
        "training": f"{config.budget.updates} updates of {config.budget.batch_size}, "
        + (f"seed {config.seed}" if len(config.seeds) == 1 else f"{len(config.seeds)} replicas"),
        "versions": _fields({k: v for k, v in record.environment.items() if k in VERSIONS}),
    }
    return [f"- {name}: `{_text(value)}`" for name, value in facts.items()]


VERSIONS = ("raydistill", "torch", "python", "git")
"""What a card tells of the environment."""


def _python(config: TrialConfig, location: str) -> str:
    count = 3 if config.task == "vocoder" else 16
    given = ", scale=student.matched_scale" if config.matched_scale != 1.0 else ""
    lines = [
        "import raydistill as rd",
        "",
        f"student = rd.load_student({location!r})",
        f"samples = student.sample({count}, seed=0)",
    ]
    if given:
        lines.append(f"at_matched_scale = student.sample({count}, seed=0{given})")
    if config.task == "vocoder":
        lines.append("# sentences of the data set; of another voice: recording='speech.wav'")
    return _fenced("python", lines)


def _shell(config: TrialConfig, location: str) -> str:
    sample = ("raydistill", "sample", location, *SAMPLE_OPTIONS.get(config.task, ()))
    export = ("raydistill", "export", location, "--format", "safetensors")
    return _fenced("sh", [shell_command(*sample), shell_command(*export)])


def _scale_advice(record: Record, config: TrialConfig) -> str:
    """At which standard deviation of z to sample, where the trial has measured two."""
    matched, metrics, name = config.matched_scale, record.metrics("test"), config.headline
    if matched == 1.0:
        return "Codes were given without noise of their own: the prior scale to begin with is 1."
    told = (
        f"The student was trained on codes of standard deviation {matched:.4g}, its *matched* "
        "prior scale."
    )
    here, there = metrics.get(name), metrics.get(f"{name}_matched")
    if here is None or there is None:
        return told
    better = "1" if here <= there else f"{matched:.4g}"
    return (
        f"{told} On the test split `{name}` is {here:.4g} at scale 1 and {there:.4g} at the "
        f"matched one (less is better): begin with `scale={better}`, and choose on validation data."
    )


def _metrics(record: Record, config: TrialConfig) -> str:
    metrics = record.metrics("test")
    plain = [name for name in metrics if not any(suffix in name for suffix in SUFFIXES)]
    floors = {
        name: values
        for name, values in record.reference.items()
        if name.endswith(ON_TEST) and values.keys() & metrics.keys()
    }
    matched = config.matched_scale != 1.0
    head = ["metric", "student", *(["at matched scale"] if matched else [])]
    head += [name.removesuffix(ON_TEST) for name in floors]
    rows = [head, ["---"] * len(head)]
    for name in sorted(plain):
        row = [f"`{name}`", _number(metrics.get(name))]
        row += [_number(metrics.get(f"{name}_matched"))] if matched else []
        rows.append(row + [_number(values.get(name)) for values in floors.values()])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _fields(values: dict[str, object]) -> str:
    kind = values.pop("kind", None)
    told = ", ".join(f"{name} {value}" for name, value in values.items())
    return told if kind is None else f"{kind}, {told}" if told else str(kind)


def _text(text: object) -> str:
    """One line that cannot end the code span around it."""
    return " ".join(str(text).replace("`", "'").split())


def _fenced(language: str, lines: list[str]) -> str:
    return "\n".join([f"```{language}", *lines, "```"])

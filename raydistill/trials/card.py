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

SCALES = {"best": "at its best scale", "matched": "at matched scale"}
"""Suffixes of metrics that are measured at another prior scale than 1, with their headings."""


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
        _python(record, config, location),
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


def _other_scale(record: Record, config: TrialConfig) -> tuple[str, float]:
    """The prior scale to try beside 1: what it is called, and how large it is."""
    metrics = record.metrics("test")
    for name in SCALES:
        if f"prior_scale_{name}" in metrics:
            return name, metrics[f"prior_scale_{name}"]
    return "matched", config.matched_scale(1.0)


def _python(record: Record, config: TrialConfig, location: str) -> str:
    count = 3 if config.task == "vocoder" else 16
    name, scale = _other_scale(record, config)
    lines = [
        "import raydistill as rd",
        "",
        f"student = rd.load_student({location!r})",
        f"samples = student.sample({count}, seed=0)",
    ]
    if scale != 1.0:
        given = f"{count}, seed=0, scale=student.{name}_scale"
        lines.append(f"at_{name}_scale = student.sample({given})")
    if config.task == "vocoder":
        lines.append("# sentences of the data set; of another voice: recording='speech.wav'")
    return _fenced("python", lines)


def _shell(config: TrialConfig, location: str) -> str:
    sample = ("raydistill", "sample", location, *SAMPLE_OPTIONS.get(config.task, ()))
    export = ("raydistill", "export", location, "--format", "safetensors")
    return _fenced("sh", [shell_command(*sample), shell_command(*export)])


def _scale_advice(record: Record, config: TrialConfig) -> str:
    """At which standard deviation of z to sample, as far as the trial has measured it."""
    metrics = record.metrics("test")
    metric = config.headline.removesuffix("_best")
    name, scale = _other_scale(record, config)
    here, there = metrics.get(metric), metrics.get(f"{metric}_{name}")
    if name == "best":
        told = f"Of the prior scales that were tried the validation split chose {scale:.4g}."
    elif scale == 1.0:
        return "Codes were given without noise of their own: the prior scale to begin with is 1."
    else:
        told = (
            f"The student was trained on codes of standard deviation {scale:.4g}, its *matched* "
            "prior scale."
        )
    if here is None or there is None:
        return told
    told = (
        f"{told} On the test split `{metric}` is {here:.4g} at scale 1 and {there:.4g} at the "
        f"{name} one (less is better)"
    )
    if name == "best":
        return f"{told}: begin with `scale={scale:.4g}`."
    better = "1" if here <= there else f"{scale:.4g}"
    return f"{told}: begin with `scale={better}`, and choose on validation data."


def _metrics(record: Record, config: TrialConfig) -> str:
    metrics = record.metrics("test")
    plain = [n for n in metrics if not n.endswith(tuple(f"_{name}" for name in SCALES))]
    floors = {
        name: values
        for name, values in record.reference.items()
        if name.endswith(ON_TEST) and values.keys() & metrics.keys()
    }
    name, scale = _other_scale(record, config)
    head = ["metric", "student", *([SCALES[name]] if scale != 1.0 else [])]
    head += [floor.removesuffix(ON_TEST) for floor in floors]
    rows = [head, ["---"] * len(head)]
    for metric in sorted(plain):
        row = [f"`{metric}`", _number(metrics.get(metric))]
        row += [_number(metrics.get(f"{metric}_{name}"))] if scale != 1.0 else []
        rows.append(row + [_number(values.get(metric)) for values in floors.values()])
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

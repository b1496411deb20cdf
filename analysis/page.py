"""What all pages share: the template's environment, its filters and embedded pictures.

The templates escape every value, so that names and causes of failure are text, whatever they hold.
"""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import jinja2

from analysis.charts import Chart
from analysis.effects import Effect
from analysis.parts import FailedPart
from analysis.records import RecordSet, Skipped
from analysis.table import plural

ABSENT = "–"


@dataclass(frozen=True)
class Embedded:
    """A picture inside the page."""

    title: str
    uri: str
    caption: str


@dataclass(frozen=True)
class MetricColumn:
    """A column of a table of metrics: the metric, its heading and its decimals."""

    metric: str
    label: str
    digits: int


@dataclass(frozen=True)
class Rendered:
    """A page.

    Attributes:
        html: its text.
        problems: sentences, one for each damaged file that was left out and each part that could
            not be made.
    """

    html: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class ExportedFiles:
    """The figures and tables of a sweep as files.

    Attributes:
        contents: file name -> content.
        left_out: what could not be read or made.
    """

    contents: dict[str, bytes]
    left_out: tuple[Skipped | FailedPart, ...]


@dataclass(frozen=True)
class EnvironmentCount:
    """An environment, and how many trials ran in it."""

    count: int
    values: dict[str, str]


def fill_template(template: str, found: RecordSet, values: Mapping[str, Any]) -> Rendered:
    """A page from its template.

    Args:
        template: file name in this folder.
        found: the records of one sweep.
        values: what the template asks for beyond the sweep's name, place, settings, environments
            and files that were not read. `unreadable` (of `Skipped`) adds to the latter,
            `failed_parts` (of `FailedPart`) are the parts that could not be made.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (decimals, significant, compact, effect, plural):
        environment.filters[function.__name__] = function
    sweep = found.records[0].sweep
    unreadable: list[Skipped] = values.get("unreadable", [])
    failed_parts: list[FailedPart] = values.get("failed_parts", [])
    skipped = list(dict.fromkeys([*found.skipped, *unreadable]))
    own = {name: v for name, v in values.items() if name not in ("unreadable", "failed_parts")}
    html = environment.get_template(template).render(
        sweep=sweep.name,
        place=sweep.folder.uri,
        skipped=skipped,
        failed_parts=failed_parts,
        settings=dict(sweep.settings),
        environments=_environments(found),
        **own,
    )
    return Rendered(html, problems_of([*skipped, *failed_parts]))


def problems_of(left_out: Iterable[Skipped | FailedPart]) -> tuple[str, ...]:
    """A sentence for each damaged file and each part that could not be made."""
    damaged = (one for one in left_out if not isinstance(one, Skipped) or one.damaged)
    return tuple(str(one) for one in damaged)


def embed(chart: Chart) -> Embedded:
    """A chart inside the page."""
    return Embedded(chart.title, data_uri(chart.png), chart.caption)


def data_uri(png: bytes) -> str:
    """The content of a PNG file as a `data:` URI, which an HTML page can hold."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def decimals(value: Any, digits: int) -> str:
    """A number with that many decimals; a dash if there is none."""
    if not isinstance(value, Real) or not math.isfinite(value):
        return ABSENT
    return f"{value:.{digits}f}".replace("-", "−")


def significant(value: Any, *, trim: bool = True) -> str:
    """A number with three significant digits, never in powers of ten; a dash if there is none."""
    if not isinstance(value, Real) or not math.isfinite(value):
        return ABSENT
    places = 2 - math.floor(math.log10(abs(value))) if value else 2
    text = decimals(value, min(max(places, 0), 6))
    return text.rstrip("0").rstrip(".") if trim and "." in text else text


def compact(value: Any) -> str:
    """A number of any size in three significant digits; a dash if there is none."""
    number = float(value) if isinstance(value, Real) else math.nan
    if math.isinf(number):
        return "∞" if number > 0.0 else "−∞"
    if math.isnan(number):
        return ABSENT
    if number == 0.0 or 1e-3 <= abs(number) < 1e5:
        return significant(number)
    return f"{number:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")


def effect(value: Effect) -> str:
    """A difference with its sign and interval."""
    ends = (value.value, value.low, value.high)
    mean, low, high = (significant(end, trim=False) for end in ends)
    mean = f"+{mean}" if value.value > 0.0 and value.signed else mean
    return mean if low == ABSENT else f"{mean} [{low}, {high}] ({100.0 * value.coverage:.3g}%)"


def _environments(found: RecordSet) -> list[EnvironmentCount]:
    records = [item.record for item in found.records]
    ran = [
        {**r.environment, "device": r.spent.device, "workers": str(r.spent.workers)}
        for r in records
    ]
    counts = Counter(json.dumps(values, sort_keys=True) for values in ran)
    return [EnvironmentCount(count, json.loads(values)) for values, count in counts.most_common()]

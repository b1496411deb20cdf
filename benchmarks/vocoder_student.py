"""The vocoder's student beside its teacher: training steps, synthesis, and where it pays off.

    python benchmarks/vocoder_student.py
    python benchmarks/vocoder_student.py --channels 24    # as many parameters as the prototype

Weights are random: no time here depends on them. Rounds are interleaved; medians with the smallest
and largest, in CPU seconds, and wall seconds where threads are compared. On a busy machine trust
the CPU time and the ratios.

Synthesis is of one sequence. *Whole* is torch's one pass; *parts* is the compiled loop on sequences
cut among the threads; *stream* is the same loop chunk by chunk on one thread; *exported*
is the `torch.export` program, which knows nothing of this package.

Two threads say nothing unless two cores are free. The control is twice the same hashing, side by
side: where it gains less than `CONTROL` over one after the other, rows of two threads are void,
and marked so.

The last table asks where the parallel student pays off against a sequential teacher: one sequence
of the teacher is bound to one core, whatever its size. What it says of more cores than were
measured is a model, and in brackets: parts scale as the cores, but for the receptive field that
each part begins early. A large student is there because a large teacher may need one.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import tyro
from torch import Tensor, nn

from raydistill.export import export_student
from raydistill.objectives import (
    Batch,
    ReverseKL,
    ReverseKLConfig,
    XReconstruction,
    XReconstructionConfig,
)
from raydistill.students.streaming import Streamer, synthesise
from raydistill.students.wavenet_flow import WaveNetFlow, WaveNetFlowConfig
from raydistill.teachers.samplernn import SampleRNNConfig

CONTROL = 1.8
"""Gain of two threads of independent work from which on two cores count as free."""


@dataclass(frozen=True)
class VocoderStudentBenchmark:
    """Measure the student.

    Attributes:
        rounds: interleaved rounds.
        channels: of the student.
        batch, window, context: of a training step; samples, those of the context not scored.
        seconds: of the sequence that is synthesised.
        rate: samples a second of audio.
        chunks: lengths of chunks, in frames.
        hidden: sizes of the GRUs of the teachers to compare with; the first is the trained one's.
        large: channels and layers of the student of the `paper` preset.
        cores: numbers of cores for the model.
    """

    rounds: int = 7
    channels: int = 16
    batch: int = 8
    window: int = 3000
    context: int = 600
    seconds: float = 10.0
    rate: int = 8000
    chunks: tuple[int, ...] = (1, 20, 200)
    hidden: tuple[int, ...] = (128, 256, 512, 1024)
    large: tuple[int, int] = (64, 6)
    cores: tuple[int, ...] = (4, 8, 16)


@dataclass(frozen=True)
class Timed:
    """CPU and wall seconds of each round."""

    cpu: list[float]
    wall: list[float]


HASHED = bytes(100 << 20)
BOTH = ("1 thread", "2 threads")


def interleaved(variants: dict[str, Callable[[], object]], rounds: int) -> dict[str, Timed]:
    """Each variant once for nothing, then `rounds` times in turn."""
    found = {name: Timed([], []) for name in variants}
    for number in range(rounds + 1):
        for name, work in variants.items():
            cpu, wall = time.process_time(), time.perf_counter()
            work()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            if number:
                found[name].cpu.append(cpu)
                found[name].wall.append(wall)
    return found


def spread(values: list[float], scale: float = 1.0) -> str:
    found = (min(values), statistics.median(values), max(values))
    low, middle, high = (f"{scale * value:.4g}" for value in found)
    return f"{middle} [{low}, {high}]"


def make_student(channels: int = 16, layers: int = 5) -> WaveNetFlow:
    torch.manual_seed(0)
    student = WaveNetFlowConfig(channels=channels, layers=layers).build((2400,))
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return student


def features(batch: int, frames: int) -> Tensor:
    return torch.randn(batch, frames, 27, generator=torch.Generator().manual_seed(1))


def noise(batch: int, length: int) -> Tensor:
    return torch.randn(batch, length, generator=torch.Generator().manual_seed(2))


def report_training(settings: VocoderStudentBenchmark) -> None:
    """Forward and backward of whole training steps."""
    student, teacher = (
        make_student(settings.channels),
        SampleRNNConfig(hidden=settings.hidden[0]).build((2400,)),
    )
    teacher.requires_grad_(False)
    objectives: dict[str, XReconstruction | ReverseKL] = {
        "x-reconstruction": XReconstruction(XReconstructionConfig(l1_weight=1.0)),
        "reverse KL a step": ReverseKL(ReverseKLConfig(estimator="per_step")),
    }

    def step(name: str, length: int, context: int) -> Callable[[], object]:
        conditioning = features(settings.batch, length // 40)
        z = noise(settings.batch, length)
        batch = Batch(z, z.flip(0), None, conditioning, context)
        pair = teacher.given(conditioning), student.given(conditioning)

        def work() -> None:
            student.zero_grad(set_to_none=True)
            objectives[name](batch, *pair).loss.backward()

        return work

    window, context = settings.window, settings.context
    variants = {
        f"{name}, {length} samples": step(name, length, unscored)
        for name in objectives
        for length, unscored in ((window - context, 0), (window, context))
    }
    count = sum(parameter.numel() for parameter in student.parameters())
    print(f"training step, batch {settings.batch}, {count} parameters, one thread, CPU s")
    for name, timed in interleaved(variants, settings.rounds).items():
        print(f"  {name:34} {spread(timed.cpu)}")


def sequence(settings: VocoderStudentBenchmark) -> tuple[Tensor, Tensor]:
    """One sequence of noise, with its frames."""
    frames = round(settings.seconds * settings.rate / 40)
    return noise(1, 40 * frames), features(1, frames)


def hashing(threads: int) -> None:
    """As much work on each thread, without Python's lock."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(hashlib.sha256, [HASHED] * threads))


def exported(student: WaveNetFlow) -> nn.Module:
    """The program that `export_student` writes."""
    with tempfile.TemporaryDirectory() as folder:
        export_student(student, Path(folder), "torch-export")
        program: nn.Module = torch.export.load(Path(folder) / "student.pt2").module()
    return program


@torch.inference_mode()
def report_synthesis(settings: VocoderStudentBenchmark, program: nn.Module) -> float | None:
    """One sequence by the student and by its teacher, on one thread and two.

    Returns:
        Gain of two threads over one in wall time; None where the control has too little.
    """
    student = make_student(settings.channels).eval()
    teacher = SampleRNNConfig(hidden=settings.hidden[0]).build((2400,)).eval()
    z, conditioning = sequence(settings)

    def whole(threads: int) -> None:
        torch.set_num_threads(threads)
        student.given(conditioning)(z)
        torch.set_num_threads(1)

    def stream(frames: int) -> None:
        streamer = Streamer(student)
        pieces = zip(z.split(40 * frames, 1), conditioning.split(frames, 1), strict=True)
        for samples, given in pieces:
            streamer.push(samples, given)

    variants: dict[str, Callable[[], object]] = {
        f"teacher, hidden {settings.hidden[0]}": lambda: teacher.decode_given(z, conditioning),
        "student whole, 1 thread": partial(whole, 1),
        "student whole, 2 threads": partial(whole, 2),
        "student parts, 1 thread": partial(synthesise, student, z, conditioning, 1),
        "student parts, 2 threads": partial(synthesise, student, z, conditioning, 2),
        "student inverse": lambda: student.inverse_given(z, conditioning),
    }
    variants["student exported, 1 thread"] = partial(program, z, conditioning)
    for frames in settings.chunks:
        ms = 1e3 * frames * 40 / settings.rate
        variants[f"student stream, {ms:.0f} ms"] = partial(stream, frames)
    controls: dict[str, Callable[[], object]] = {
        f"control {threads}": partial(hashing, threads) for threads in (1, 2)
    }
    found = interleaved(variants | controls, settings.rounds)
    one, two = (statistics.median(found.pop(name).wall) for name in controls)
    gain = 2.0 * one / two
    print(
        f"synthesis of {settings.seconds:g} s at {settings.rate} Hz, thousands of samples a "
        f"second; the control gains {gain:.2f}x on two threads"
    )
    for name, timed in found.items():
        cpu = [z.numel() / seconds / 1e3 for seconds in timed.cpu]
        wall = [z.numel() / seconds / 1e3 for seconds in timed.wall]
        speed = 1e3 * statistics.median(cpu) / settings.rate
        void = name.endswith("2 threads") and gain < CONTROL
        print(
            f"  {name:27} a CPU second {spread(cpu):22} ({speed:5.1f}x real time), "
            f"a wall second {spread(wall)}{'  VOID, see the control' if void else ''}"
        )
    one, two = (statistics.median(found[f"student parts, {threads}"].wall) for threads in BOTH)
    return one / two if gain >= CONTROL else None


@torch.inference_mode()
def report_where_it_pays(settings: VocoderStudentBenchmark, gain: float | None) -> None:
    """Seconds for one sequence: teachers of some sizes against students on some cores."""
    z, conditioning = sequence(settings)
    students = [make_student(settings.channels).eval(), make_student(*settings.large).eval()]
    teachers = [SampleRNNConfig(hidden=size).build((2400,)).eval() for size in settings.hidden]
    variants: dict[str, Callable[[], object]] = {
        f"teacher {number}": partial(teacher.decode_given, z, conditioning)
        for number, teacher in enumerate(teachers)
    }
    variants |= {
        f"student {number}": partial(synthesise, student, z, conditioning)
        for number, student in enumerate(students)
    }
    found = {
        name: statistics.median(timed.cpu)
        for name, timed in interleaved(variants, max(1, settings.rounds // 2)).items()
    }
    print(f"one sequence of {settings.seconds:g} s: times a student is as fast, by its cores")
    for own, student in enumerate(students):
        config, one = student.config, found[f"student {own}"]
        lead = config.receptive_field / z.numel()
        print(
            f"  student of {config.channels} channels, {config.layers} layers: {one:.3f} s on one "
            f"core, {z.numel() / one / 1e3:.0f} k samples/s"
        )
        for number, teacher in enumerate(teachers):
            took = found[f"teacher {number}"]
            ratios = [f"1: {took / one:.2f}"]
            if own == 0 and gain is not None:
                ratios.append(f"2: {took / one * gain:.2f}")
            ratios += [f"({c}: {took / one / (1.0 / c + lead):.1f})" for c in settings.cores]
            weights = sum(parameter.numel() for parameter in teacher.parameters())
            print(
                f"    teacher of {teacher.config.hidden} units, {weights / 1e6:.2f} M parameters, "
                f"{took:.3f} s: {', '.join(ratios)}"
            )


def main(settings: VocoderStudentBenchmark) -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    report_training(settings)
    program = exported(make_student(settings.channels))
    report_where_it_pays(settings, report_synthesis(settings, program))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(tyro.cli(VocoderStudentBenchmark, description=__doc__))

"""Fills the tables of docs/performance.md from benchmarks/results/*.json; nobody types a figure there.

A table stands between <!-- NAME: begin --> and <!-- NAME: end -->, where NAME.json is its result and TABLES says how to
show it. python -m benchmarks.tables writes; with --check it only says whether the page is up to date.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.common import ROOT

PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "benchmarks" / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.tables")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when the page is out of date")
    options = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    filled = fill(page)
    if options.check:
        raise SystemExit(filled != page)
    PAGE.write_text(filled, encoding="utf-8")


def fill(page: str) -> str:
    """Return the page with every table anew whose result is there; without one, a table stays as it is."""
    for name, (files, table) in TABLES.items():
        paths = [RESULTS / f"{file}.json" for file in files]
        found = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
        if found:
            page = between(page, name, table(found))
    return page


def between(page: str, name: str, content: str) -> str:
    """Return the page with the content in the named place."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{PAGE.name} has no place for {name}: it needs the lines {begin} and {end}.")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def beside_stock(results: Sequence[dict[str, Any]]) -> str:
    """One row per figure that both sides have: stock, ours, and how many times less ours takes."""
    head = ["benchmark", "latents", "figure", "ModelScope", "ours", "ratio", "largest difference"]
    rows = []
    for result in results:
        latents = "x".join(map(str, result.get("latents", [])))
        for figure, title in UNITS.items():
            sides = result.get(figure)
            if sides and {"stock", "ours"} <= set(sides):
                ratio = sides["stock"]["median"] / max(sides["ours"]["median"], 1e-9)
                stock, ours = (_spread(sides[side]) for side in ("stock", "ours"))
                rows.append(
                    [
                        result["benchmark"] + _steps(result),
                        latents,
                        title,
                        stock,
                        ours,
                        f"{ratio:.2f}",
                        _difference(result),
                    ]
                )
    return f"{markdown(head, rows)}\n\n{_origin(results)}"


# Figures of a result, in the order of the page, and what they are called there.
UNITS: dict[str, str] = {
    "seconds": "seconds",
    "repeated": "seconds, the same prompt again",
    "seconds_to_ready": "seconds to ready",
    "activations": "GiB of activations",
    "peak_rss": "GiB, peak of the process",
    "peak_rss_gib": "GiB, peak of the process",
    "launches": "operations or kernels",
}


def _steps(result: dict[str, Any]) -> str:
    return f", {result['steps']} steps" if result.get("steps", 1) > 1 and "clip" in result["benchmark"] else ""


def _spread(figures: dict[str, float]) -> str:
    return f"{figures['median']:.4g} ({figures['best']:.4g} to {figures['worst']:.4g})"


def _difference(result: dict[str, Any]) -> str:
    return f"{result['difference']:.1e} ({result['difference_of']})" if "difference" in result else "-"


def _origin(results: Sequence[dict[str, Any]]) -> str:
    lines = {
        f"{result['device']['name']}, {result['device']['threads']} threads; torch {result['versions']['torch']}, "
        f"modelscope {result['versions']['modelscope']}; commit {result['commit']}"
        for result in results
    }
    return "Median (smallest to largest) of separate processes, taken in turn. " + "; ".join(sorted(lines)) + "."


def presets(results: Sequence[dict[str, Any]]) -> str:
    """Scores, processor seconds and counted FLOPs of the model that was scored; the formula's FLOPs of ModelScope's."""
    [result] = results
    shares, relative = [*result["aspects"], "all"], "of exact"
    head = ["preset", "prompts", "steps", *shares, "outlines"]
    head += ["CPU s", relative, "GFLOP", relative, "1.7 B: TFLOP", relative]
    rows = [
        [
            f"`{row['preset']}`",
            row["prompts"],
            row["steps"],
            *(f"{row[share]:.1%}" for share in shares),
            f"{row['outlines']:.3f}",
            f"{row['cpu_seconds']['median']:.2f}",
            f"{1 / row['seconds_ratio']:.0%}",
            f"{row['gigaflops']:.0f}",
            f"{1 / row['gigaflops_ratio']:.0%}",
            f"{row['modelscope_gigaflops'] / 1000:.1f}",
            f"{1 / row['modelscope_gigaflops_ratio']:.0%}",
        ]
        for row in result["presets"]
    ]
    device, versions = result["device"], result["versions"]
    below = (
        f"{result['model']}, seeds from {result['first_seed']}; {device['name']}, "
        f"{device['threads']} thread; torch {versions['torch']}, Python {versions['python']}; commit {result['commit']}"
    )
    timed = f"Seconds: median of {result['presets'][0]['timed']} prompts that were rendered with all presets in turn."
    return f"{markdown(head, rows)}\n\n{below}. {timed}"


_BENCHMARKS = ("guided-step", "launches", "clip", "text", "decode", "request", "cold-start")
TABLES: dict[str, tuple[tuple[str, ...], Callable[[Sequence[dict[str, Any]]], str]]] = {
    "exact_cpu": (tuple(f"{name}-cpu" for name in _BENCHMARKS), beside_stock),
    "exact_cuda": (tuple(f"{name}-cuda" for name in _BENCHMARKS), beside_stock),
    "presets_demo": (("presets_demo",), presets),
}


if __name__ == "__main__":
    main()

"""Fills the tables of docs/performance.md from benchmarks/results/*.json; nobody types a figure there.

A table stands between <!-- NAME: begin --> and <!-- NAME: end -->, where NAME.json is its result and TABLES says how to
show it. python -m benchmarks.tables writes; with --check it only says whether the page is up to date.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT

PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "benchmarks" / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.tables")
    parser.add_argument("--results", type=Path, default=RESULTS, help="a folder to read instead")
    parser.add_argument(
        "--print", action="store_true", help="write the filled page to standard output, not to the file"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when the page is out of date")
    options = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    filled = fill(page, options.results)
    if options.print:
        print(filled, end="")
        return
    if options.check:
        raise SystemExit(filled != page)
    PAGE.write_text(filled, encoding="utf-8")


def fill(page: str, results: Path = RESULTS) -> str:
    """Return the page with every table anew whose result is there; without one, a table stays as it is."""
    for name, (files, table) in TABLES.items():
        paths = [results / f"{file}.json" for file in files]
        found = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
        if results == RESULTS:
            found = [result for result in found if not str(result.get("shapes", "")).startswith("tiny")]
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
    head = ["benchmark", "latents", "figure", "ModelScope", "ours", "ratio", "rounds", "largest difference"]
    rows = []
    for result in results:
        for figure, title in UNITS.items():
            sides = result.get(figure)
            if sides and {"stock", "ours"} <= set(sides) and not _misleading(result, figure):
                ratio = sides["stock"]["median"] / max(sides["ours"]["median"], 1e-9)
                stock, ours = (_spread(sides[side]) for side in ("stock", "ours"))
                name, rounds = result["benchmark"] + _steps(result), result.get("rounds", result.get("runs", "-"))
                rows.append([name, _latents(result), title, stock, ours, f"{ratio:.2f}", rounds, _difference(result)])
    return f"{markdown(head, rows)}\n\n{_origin(results)}{_reasons(results)}{_work(results)}"


def beside_diffusers(results: Sequence[dict[str, Any]]) -> str:
    """As beside_stock, against diffusers' classes; and how much less we take, in words."""
    head = [
        "benchmark",
        "latents",
        "figure",
        "diffusers",
        "ours",
        "ratio",
        "ours takes",
        "rounds",
        "largest difference",
    ]
    rows = []
    for result in results:
        for figure in ("seconds", "activations"):
            sides = result.get(figure, {})
            if {"diffusers", "ours"} <= set(sides) and figure in UNITS and not _misleading(result, figure):
                ratio = sides["diffusers"]["median"] / max(sides["ours"]["median"], 1e-9)
                saved = 1 - 1 / ratio
                words = f"{abs(saved):.0%} {'less' if saved > 0 else 'more'}"
                spread = [_spread(sides[side]) for side in ("diffusers", "ours")]
                difference = f"{result['difference_of_diffusers']:.1e} ({result['difference_of']})"
                row = [result["benchmark"], _latents(result), UNITS[figure], *spread, f"{ratio:.2f}", words]
                rows.append([*row, result["rounds"], difference])
    packages = {f"diffusers {result['versions']['diffusers']}" for result in results}
    return f"{markdown(head, rows)}\n\n{_origin(results)} {'; '.join(sorted(packages))}."


# Figures of a result, in the order of the page, and what they are called there.
UNITS: dict[str, str] = {
    "seconds": "seconds",
    "seconds_before_decoding": "seconds: text and one guided step",
    "seconds_of_decoding": "seconds: decoding",
    "repeated": "seconds, the same prompt again",
    "seconds_to_ready": "seconds to ready",
    "activations": "GiB of activations while decoding",
    "vram_peak": "GiB of the card, peak",
    "peak_rss": "GiB, peak of the process",
    "peak_rss_gib": "GiB, peak of the process",
    "launches": "operations or kernels",
}


def _misleading(result: dict[str, Any], figure: str) -> bool:
    """Memory of so few frames that the rest of the process is louder."""
    return figure == "activations" and result.get("latents", [16])[0] < 16


def _latents(result: dict[str, Any]) -> str:
    return "x".join(map(str, result.get("latents", [])))


def _steps(result: dict[str, Any]) -> str:
    return f", {result['steps']} steps" if result.get("steps", 1) > 1 and "clip" in result["benchmark"] else ""


def _spread(figures: dict[str, float]) -> str:
    if figures["best"] == figures["worst"]:
        return f"{figures['median']:.4g}"
    return f"{figures['median']:.4g} ({figures['best']:.4g} to {figures['worst']:.4g})"


def _difference(result: dict[str, Any]) -> str:
    return f"{result['difference']:.1e} ({result['difference_of']})" if "difference" in result else "-"


def _origin(results: Sequence[dict[str, Any]]) -> str:
    lines = {
        f"{result['device']['name']}, {result['device']['threads']} threads; torch {result['versions']['torch']}, "
        f"modelscope {result['versions']['modelscope']}; commit {result['commit']}; load average before it "
        f"{_load(result):.1f}"
        for result in results
    }
    return "Median (smallest to largest) of separate processes, taken in turn. " + "; ".join(sorted(lines)) + "."


def _load(result: dict[str, Any]) -> float:
    device = result["device"]
    loads = device.get("load_average_before_the_set", device.get("load_average_at_start", [float("nan")]))
    return float(loads[0])


def _reasons(results: Sequence[dict[str, Any]]) -> str:
    """Why a shape is not the full one."""
    reasons = [f"{result['benchmark']}: {result['why_this_shape']}" for result in results if "why_this_shape" in result]
    return f"\n\nShapes. {'; '.join(reasons)}." if reasons else ""


def _work(results: Sequence[dict[str, Any]]) -> str:
    """FLOPs beside the seconds, and on a card the rates."""
    rates = []
    for result in results:
        if "stock_tflop" in result and "seconds" in result:
            rate = result["stock_tflop"] / max(result["seconds"]["ours"]["median"], 1e-9)
            share = f", {result['ours_share_of_peak']:.0%} of the peak" if "ours_share_of_peak" in result else ""
            rates.append(f"{result['benchmark']} {result['stock_tflop']:g} TFLOP (ours {rate:.3g} TFLOP/s{share})")
    return f"\n\nArithmetic of ModelScope's classes: {'; '.join(rates)}." if rates else ""


def service(results: Sequence[dict[str, Any]]) -> str:
    """One row per side of B7."""
    [result] = results
    head = ["side", "jobs per minute", "of stock", "seconds to finished, p50", "p95", "overhead per job, s"]
    head.append("steps from cancel to end")
    rows = []
    for side, jobs in result["jobs_per_minute"].items():
        ratio = jobs["median"] / result["jobs_per_minute"]["stock"]["median"]
        row = ["ModelScope's classes, serially" if side == "stock" else f"ours, `BATCH_SIZE={side.partition(' ')[2]}`"]
        row += [_spread(jobs), f"{ratio:.2f}"]
        figures = ("seconds_to_finished_p50", "seconds_to_finished_p95", "overhead_seconds_per_job")
        for figure in (*figures, "cancel_latency_steps"):
            row.append(_spread(result[figure][side]) if side in result[figure] else "-")
        rows.append(row)
    job = result["job"]
    below = (
        f"{result['jobs']} jobs of {job['frames']} frames of {job['side']}x{job['side']}, {job['steps']} steps; "
        f"{result['rounds']} rounds. Model: {result['model']}. Stock: {result['stock']}. Ours: {result['ours']}. "
        f"Largest difference of the first job's frames from stock's: {result['difference']} levels of 255; of videos "
        f"between batch sizes: {result['largest_difference_between_batch_sizes']}."
    )
    return f"{markdown(head, rows)}\n\n{below}\n\n{_origin(results)}"


def growth(results: Sequence[dict[str, Any]]) -> str:
    """One row per point of each curve."""
    [result] = results
    head = ["what grows", "to", "GFLOP", "ModelScope, s", "ours, s", "ratio"]
    rows = [
        [
            row["curve"],
            row["at"],
            row.get("stock_gflop", "-"),
            *(_spread(row["seconds"][side]) for side in ("stock", "ours")),
            f"{row['ratio_seconds']:.2f}",
        ]
        for row in result["points"]
    ]
    return f"{markdown(head, rows)}\n\n{result['shapes']}; {result['rounds']} rounds. {_origin(results)}"


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
_DIFFUSERS = ("guided-step", "decode")
Table = Callable[[Sequence[dict[str, Any]]], str]
TABLES: dict[str, tuple[tuple[str, ...], Table]] = {"presets_demo": (("presets_demo",), presets)}
for _kind in ("cpu", "cuda"):
    TABLES |= {
        f"exact_{_kind}": (tuple(f"{name}-{_kind}" for name in _BENCHMARKS), beside_stock),
        f"diffusers_{_kind}": (tuple(f"{name}-{_kind}" for name in _DIFFUSERS), beside_diffusers),
        f"service_{_kind}": ((f"service-{_kind}",), service),
        f"growth_{_kind}": ((f"growth-{_kind}",), growth),
    }


if __name__ == "__main__":
    main()

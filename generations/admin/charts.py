"""Charts as SVG made here: no script, no library, readable by a screen reader. Colours come from admin.css."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH, HEIGHT, LABELS, AXIS = 720, 180, 18, 34


@dataclass(frozen=True)
class Bar:
    """Values from the bottom up. label: below the bar where it is wanted; name: in the tooltip and the table."""

    name: str
    values: Sequence[int]
    label: str = ""


def stacked_bars(key: str, title: str, kinds: Sequence[str], bars: Sequence[Bar]) -> SafeString:
    """A chart, and the same numbers as a table. kinds: what the values are, each also a CSS class."""
    top = ceiling(max((sum(bar.values) for bar in bars), default=0))
    room = HEIGHT - LABELS - 8
    slot = (WIDTH - AXIS) / max(1, len(bars))

    def y(value: float) -> float:
        return round(8 + room * (1 - value / top), 1)

    lines = format_html_join(
        "",
        '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>'
        '<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>',
        ((AXIS, WIDTH, y(value), y(value), AXIS - 6, y(value) + 4, value) for value in (0, top // 2, top)),
    )
    columns = []
    for place, bar in enumerate(bars):
        x, below = AXIS + place * slot, 0
        pieces = []
        for kind, value in zip(kinds, bar.values, strict=True):
            if value:
                high = round(room * value / top, 1)
                shape = (kind, round(x + slot * 0.12, 1), y(below + value), round(slot * 0.76, 1), high)
                pieces.append(format_html('<rect class="bar-{}" x="{}" y="{}" width="{}" height="{}"/>', *shape))
            below += value
        label = format_html(
            '<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>',
            round(x + slot / 2, 1),
            HEIGHT - 2,
            bar.label,
        )
        columns.append(format_html("<g><title>{}</title>{}{}</g>", told(bar, kinds), together(pieces), label))
    described = format_html(
        '<title id="{0}-title">{1}</title><desc id="{0}-desc">{2}</desc>',
        key,
        title,
        "; ".join(told(bar, kinds) for bar in bars if sum(bar.values)) or "Nothing.",
    )
    picture = format_html(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-labelledby="{}-title {}-desc">{}{}{}</svg>',
        *(WIDTH, HEIGHT, key, key, described, lines, together(columns)),
    )
    keys = format_html_join("", '<span class="key-{0}">{0}</span>', ((kind,) for kind in kinds))
    return format_html('<p class="legend" aria-hidden="true">{}</p>{}{}', keys, picture, table(title, kinds, bars))


def table(title: str, kinds: Sequence[str], bars: Sequence[Bar]) -> SafeString:
    heads = format_html_join("", '<th scope="col">{}</th>', ((kind.capitalize(),) for kind in kinds))
    rows = format_html_join(
        "",
        '<tr><th scope="row">{}</th>{}</tr>',
        ((bar.name, format_html_join("", "<td>{}</td>", ((value,) for value in bar.values))) for bar in bars),
    )
    return format_html(
        '<details class="figures" id="table-{}"><summary>As a table</summary><table><caption>{}</caption><thead><tr>'
        "<td></td>{}</tr></thead><tbody>{}</tbody></table></details>",
        *(kinds[0], title, heads, rows),
    )


def together(pieces: Sequence[SafeString]) -> SafeString:
    return format_html_join("", "{}", ((piece,) for piece in pieces))


def told(bar: Bar, kinds: Sequence[str]) -> str:
    return f"{bar.name}: " + ", ".join(f"{value} {kind}" for kind, value in zip(kinds, bar.values, strict=True))


def ceiling(most: int) -> int:
    """The smallest of 2, 4, 10, 20, 40, 100, ... that is not below: half of it is a whole number, too."""
    unit = 1
    while True:
        for step in (2, 4, 10):
            if most <= step * unit:
                return step * unit
        unit *= 10

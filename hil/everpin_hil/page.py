"""The report as one HTML page without assets: a timeline for each device that people read at a glance.

Green is a session with the device's own broker by the newest pins, blue one by those confirmed before (overlap) or in another mode;
red is cut off, grey is power off. Marks below the bar are what happened: documents, rescues, refusals, power cuts.
"""

import datetime
import html
import itertools
from typing import Any

from .judge import Case, Fact

_CSS = """
:root{color-scheme:light dark;--ink:#1c2530;--soft:#5c6b7a;--line:#d8dee6;--card:#fff;--back:#f4f6f9;
--good:#2e9e62;--base:#3b7dd8;--cut:#d64545;--off:#9aa5b1;--mark:#6b4fbb}
@media(prefers-color-scheme:dark){:root{--ink:#e4e9ef;--soft:#9aa8b6;--line:#33404d;--card:#1b232c;--back:#12181e}}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);margin:0;padding:2rem}
main{max-width:1100px;margin:auto}h1{font-size:1.5rem;margin:0 0 .3rem}h2{font-size:1.1rem;margin:2rem 0 .6rem}
.sum{display:flex;gap:.8rem;flex-wrap:wrap;margin:1rem 0}.sum div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.6rem 1.1rem}
.sum b{display:block;font-size:1.5rem;line-height:1.2}.zero b{color:var(--good)}.some b{color:var(--cut)}
.key{color:var(--soft);font-size:.85rem}.key i{display:inline-block;width:1.6em;height:.75em;border-radius:3px;margin:0 .35em 0 1em;vertical-align:baseline}
article{background:var(--card);border:1px solid var(--line);border-left:5px solid var(--good);border-radius:8px;padding:.8rem 1.1rem;margin:.7rem 0}
article.bad{border-left-color:var(--cut)}article h3{font-size:1rem;margin:0;font-weight:600}
.tag{font-size:.75rem;color:var(--soft);border:1px solid var(--line);border-radius:9px;padding:.05rem .5rem;margin-left:.4rem;font-weight:400;white-space:nowrap}
.line{color:var(--soft);font-size:.87rem;margin:.15rem 0 .5rem}svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font:10.5px system-ui,sans-serif;fill:var(--soft)}.fail{color:var(--cut);margin:.4rem 0 0;font-size:.9rem}
code{font-size:.85em}details{font-size:.87rem;color:var(--soft)}details ol{margin:.3rem 0;padding-left:1.4rem}
"""
_WIDE = 1000
_COLOURS = {"good": "--good", "base": "--base", "cut": "--cut", "off": "--off"}
_WORDS = {
    "good": "connected",
    "base": "connected by pins confirmed before, or in another mode",
    "cut": "cut off",
    "off": "power off",
}
# Marks: fact, sign, what is said of it.
_MARKS = {"cut": ("⚡", "power cut"), "refused": ("✕", "refused"), "crash": ("☠", "crashed")}


def when(unix: int) -> str:
    """Return a time as people read it, UTC."""
    return f"{datetime.datetime.fromtimestamp(unix, datetime.UTC):%Y-%m-%d %H:%M}"


def span(seconds: int) -> str:
    """Return a duration as people say it."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds} s"


def stretches(facts: list[Fact]) -> list[tuple[int, int, str, str]]:
    """Return (from, until, state, chain) of a device's life."""
    found: list[tuple[int, int, str, str]] = []
    state, chain, since = "", "", 0
    for fact in facts:
        kind = fact["f"]
        if kind == "online":
            newest = fact["by"] == "newest" and fact["mode"] == "enforced"
            now = ("good" if newest else "base", fact["chain"])
        elif kind in ("offline", "refused", "unreachable"):
            now = ("cut", "")
        elif kind == "off":
            now = ("off", "")
        elif kind == "boot" and state == "off":
            now = ("cut", "")
        elif kind == "end":
            now = ("", "")
        else:
            continue
        if now != (state, chain):
            if state and fact["t"] > since:
                found.append((since, fact["t"], state, chain))
            state, chain, since = *now, fact["t"]
    return found


def _axis(case: Case) -> list[tuple[int, float]]:
    """Return (time, place) knots: each step takes the same room, for a century may pass between two that matter in minutes."""
    times = sorted({t for step in case.steps for t in (step["at"], step["until"])})
    if len(times) < 2:
        times = [times[0] if times else 0, (times[0] if times else 0) + 1]
    room = _WIDE / (len(times) - 1)
    return [(t, n * room) for n, t in enumerate(times)]


def _place(knots: list[tuple[int, float]], t: int) -> float:
    if t <= knots[0][0]:
        return 0.0
    for (t0, x0), (t1, x1) in itertools.pairwise(knots):
        if t <= t1:
            return x0 + (x1 - x0) * (t - t0) / (t1 - t0)
    return float(_WIDE)


def _timeline(case: Case) -> str:
    knots = _axis(case)
    samples = case.control.get("samples", [])
    tall = 78 if samples else 64
    out = [f'<svg viewBox="0 0 {_WIDE} {tall}" role="img" aria-label="timeline">']
    for since, until, state, chain in stretches(case.facts):
        x0, x1 = _place(knots, since), _place(knots, until)
        title = f"{_WORDS[state]}{' with ' + chain if chain else ''}, {when(since)} to {when(until)} ({span(until - since)})"
        out.append(
            f'<rect x="{x0:.1f}" y="18" width="{max(x1 - x0, 1.5):.1f}" height="16" rx="2" '
            f'fill="var({_COLOURS[state]})"><title>{html.escape(title)}</title></rect>'
        )
        if chain and x1 - x0 > 8 * len(chain):
            out.append(
                f'<text x="{x0 + 5:.1f}" y="30" style="fill:#fff">{html.escape(chain)}</text>'
            )
    for step in case.steps:
        x = _place(knots, step["at"])
        out.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="12" y2="36" stroke="var(--soft)" stroke-width=".8"/>'
            f'<text x="{x + 2:.1f}" y="10">{step["n"] + 1}<title>{html.escape(step["say"])}</title></text>'
        )
    last: dict[str, float] = {}
    for fact in case.facts:
        sign, text = _mark(fact)
        x = _place(knots, fact["t"])
        # One of a kind in each place; what is told of documents stands above the other marks.
        if sign and x - last.get(sign, -20.0) > 9:
            last[sign] = x
            shifted = x + (9 if sign == "✕" and x - last.get("▲", -20.0) < 9 else 0)
            out.append(
                f'<text x="{shifted:.1f}" y="48" text-anchor="middle" style="fill:var(--mark)">{sign}'
                f"<title>{html.escape(when(fact['t']) + ' ' + text)}</title></text>"
            )
    for (since, why), (until, _) in itertools.pairwise(samples):
        x0, x1 = _place(knots, since), _place(knots, until)
        title = f"static control: {why or 'connected'}, from {when(since)}"
        out.append(
            f'<rect x="{x0:.1f}" y="54" width="{max(x1 - x0, 0.5):.1f}" height="6" '
            f'fill="var(--{"cut" if why else "good"})" opacity=".55"><title>{html.escape(title)}</title></rect>'
        )
    ends = case.steps[0]["at"], case.steps[-1]["until"]
    out.append(f'<text x="0" y="{tall - 2}">{when(ends[0])}</text>')
    out.append(f'<text x="{_WIDE}" y="{tall - 2}" text-anchor="end">{when(ends[1])}</text></svg>')
    return "".join(out)


def _mark(fact: Fact) -> tuple[str, str]:
    kind = fact["f"]
    if fact.get("became") in ("accepted", "root"):
        return "▲", f"{fact['name']} {fact['became']}, by {fact['via']}"
    if fact.get("became") not in (None, "known", "ignored"):
        return "▽", f"{fact['name']} refused: {fact['became']}"
    if kind in _MARKS:
        sign, text = _MARKS[kind]
        return sign, f"{text} {fact.get('chain', '')} {fact.get('why', '')}".strip()
    if kind in ("trust-store", "report-only", "managed", "unlisted", "expired", "reset"):
        return "◆", kind
    return "", ""


def _article(case: Case) -> str:
    tags = [case.target, case.promise, *([case.event] if case.event else [])]
    spans = "".join(f'<span class="tag">{html.escape(tag)}</span>' for tag in tags)
    said = []
    if case.static_control != "none":
        said.append(f"static control {case.static_control}: {case.control.get('why', '')}")
    if case.cut_off_s:
        said.append(f"longest cut-off {span(case.cut_off_s)}, came back by {case.came_back_by}")
    state = case.state
    if state:
        said.append(f"ends with root {state['root']}, pins {'-'.join(map(str, state['number']))}")
    steps = "".join(f"<li>{when(s['at'])} {html.escape(s['say'])}</li>" for s in case.steps)
    fails = "".join(f'<p class="fail">{html.escape(text)}</p>' for text in case.failures)
    if fails:
        fails += f"<p class=\"fail\"><code>everpin hil replay '{html.escape(case.id)}'</code></p>"
    return (
        f'<article class="{"ok" if case.ok else "bad"}" id="{html.escape(case.id)}">'
        f"<h3>{html.escape(case.title)}{spans}</h3>"
        f'<p class="line">{html.escape(case.scenario)} · {html.escape(" · ".join(said))}</p>'
        f"{_timeline(case)}{fails}<details><summary>what happens</summary><ol>{steps}</ol></details></article>"
    )


def render(cases: list[Case], summary: dict[str, Any]) -> str:
    """Return the page."""
    boxes = "".join(
        f'<div class="{"zero" if key != "cases" and not value else "some" if key != "cases" else ""}">'
        f"<b>{value}</b>{html.escape(key)}</div>"
        for key, value in summary.items()
        if isinstance(value, int)
    )
    key = "".join(
        f'<i style="background:var({colour})"></i>{_WORDS[state]}'
        for state, colour in _COLOURS.items()
    )
    body = []
    failed = [case for case in cases if not case.ok]
    groups = [("Failed", failed)] + [
        (title, [case for case in cases if case.ok and case.kind == kind])
        for kind, title in (
            ("replay", "Replays of outages"),
            ("attack", "Adversaries"),
            ("mistake", "Operators' mistakes"),
            ("fault", "Faults"),
            ("walk", "Random walks"),
        )
    ]
    for title, items in groups:
        if items:
            body.append(f"<h2>{title}</h2>" + "".join(_article(case) for case in items))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>everpin hil</title><style>{_CSS}</style></head><body><main>"
        f'<h1>everpin hil</h1><div class="sum">{boxes}</div>'
        f'<p class="key">{key}<br>▲ document accepted &nbsp; ▽ document refused &nbsp; ✕ peer refused &nbsp; ⚡ power cut &nbsp; '
        "◆ told and counted. The thin bar is the static control. Each step of a scenario takes the same room; hover for dates.</p>"
        f"{''.join(body)}</main></body></html>\n"
    )

"""The report in a real browser: it loads nothing, fits a phone, is readable in light and dark, by a screen reader, on paper."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from callbacks.shared.journal import Entry
from jobs.evaluation.results import ModelResult, Results
from jobs.report.page import page
from jobs.spec.run_spec import RunSpec

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LEAST_CONTRAST = 4.5
"""The contrast that WCAG 2.1, level AA, requires for text."""
OPEN_ALL = "document.querySelectorAll('details').forEach(each => each.open = true)"
TOO_WIDE = """() => [...document.querySelectorAll('body *')].filter(each => !each.closest('.scroll, pre, .bars, .ticks, svg'))
  .filter(each => each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML.slice(0, 120))"""
CONTRASTS = r"""() => {
  const parsed = text => { const all = text.match(/[\d.]+/g).map(Number); return {rgb: all.slice(0, 3), alpha: all[3] ?? 1}; };
  const luminance = rgb => { const [r, g, b] = rgb.map(each => { each /= 255;
    return each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = each => { for (; each; each = each.parentElement) { const found = parsed(getComputedStyle(each).backgroundColor);
    if (found.alpha > 0) return found.rgb; } return [255, 255, 255]; };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, owner = node.parentElement;
    if (!node.data.trim() || owner.closest('title, desc') || !owner.getClientRects().length) continue;
    const style = getComputedStyle(owner);
    const [one, other] = [parsed(owner.closest('svg') ? style.fill : style.color).rgb, behind(owner)].map(luminance);
    found.push([(Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05), node.data.trim().slice(0, 60)]);
  }
  return found;
}"""


@pytest.fixture
def report(
    tmp_path: Path, evaluation: RunSpec, preempted: list[Entry], evaluated: list[ModelResult], journal: Any
) -> Path:
    """A report with everything that a page can hold, in a folder that was copied from another place."""
    journal.say(61, "stage_failed", "train-2-0-stage", stage="train", part=0, message="the node is gone " + "x" * 300)
    results = Results(evaluated, ["checkpoint-20: shard-1-of-2.jsonl not finished; hint: regrow resume looked-at"], [])
    spec = evaluation.model_copy(update={"name": "looked-at-" + "very-long-name-" * 6})
    intervals = {20: {"gen_offender_presence_f1": (0.1, 0.3)}, 40: {"gen_offender_presence_f1": (0.2, 0.5)}}
    made = tmp_path / "made"
    made.mkdir()
    (made / "index.html").write_text(page(spec, journal.done(), results, intervals), encoding="utf-8")
    return Path(shutil.copytree(made, tmp_path / "copied")) / "index.html"


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")], ids=str)
def seen(request: pytest.FixtureRequest, browser: "Browser", report: Path) -> "Iterator[Page]":
    """The report as a reader sees it. Each complaint of the browser fails the test."""
    width, scheme = request.param
    complaints: list[str] = []
    requests: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    tab.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(report.as_uri())
    tab.evaluate(OPEN_ALL)
    yield tab
    context.close()
    assert complaints == []
    assert requests == [report.as_uri()]


def test_report_fits_the_window_and_its_texts_stand_out(seen: "Page") -> None:
    assert seen.evaluate("document.documentElement.scrollWidth") <= seen.evaluate("innerWidth")
    assert seen.evaluate(TOO_WIDE) == []
    contrasts = seen.evaluate(CONTRASTS)
    assert len(contrasts) > 300
    assert [each for each in contrasts if each[0] < LEAST_CONTRAST] == []


def test_report_can_be_read_aloud_and_does_no_harm(seen: "Page") -> None:
    drawings = seen.locator("svg:not([aria-hidden])").count()
    names = seen.get_by_role("img").evaluate_all("all => all.map(each => each.querySelector('title').textContent)")
    assert drawings == len(names) > 5 and all(names)
    assert seen.get_by_role("img", name="Loss by step. training: from 2 to 0.125").count() == 1
    assert seen.get_by_role("heading", level=1).count() == 1
    assert seen.get_by_role("region", name="Scores").count() == 1
    assert seen.locator("img").count() == 0
    assert seen.evaluate("window.hacked") is None


def test_report_scrolls_wide_tables_in_their_own_box(seen: "Page") -> None:
    boxes = seen.locator(".scroll")
    assert boxes.evaluate_all("all => all.every(each => each.tabIndex === 0 && each.ariaLabel)")
    if seen.viewport_size and seen.viewport_size["width"] == 400:
        assert boxes.evaluate_all("all => all.some(each => each.scrollWidth > each.clientWidth)")


def test_report_prints_with_what_is_folded_away(browser: "Browser", report: Path, tmp_path: Path) -> None:
    context = browser.new_context(color_scheme="dark")
    tab = context.new_page()
    tab.goto(report.as_uri())
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    folded = tab.locator("details:not(.data, [open]) > pre")
    assert folded.count() >= 2
    assert folded.evaluate_all("all => all.every(each => each.checkVisibility())"), "on paper nothing can be unfolded"
    assert [each for each in tab.evaluate(CONTRASTS) if each[0] < LEAST_CONTRAST] == []
    paper = tab.pdf(format="A4")
    context.close()
    assert paper.startswith(b"%PDF") and len(paper) > 50_000

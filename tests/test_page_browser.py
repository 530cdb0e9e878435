"""The page in a real browser: nothing fails, nothing is fetched, tables sort, values show."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import CHROMIUM, Browser, chromium
from page_material import FILES, HOSTILE, made_up_contents

from hpe_core.page.html import write_page

TEMPLATE = Path(__file__).parents[1] / "pipeline" / "page"
pytestmark = pytest.mark.skipif(
    not CHROMIUM, reason="no chromium: the page was not looked at in a browser (apt: chromium)"
)
LOOKS = [
    pytest.param(width, scheme, id=f"{width} {scheme}")
    for width in (390, 1280)
    for scheme in ("light", "dark")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def page(folder) -> Path:
    write_page(made_up_contents().values(), TEMPLATE, folder / "page.html")
    return folder / "page.html"


@pytest.fixture(scope="module")
def tab(folder):
    with chromium(folder / "profile") as browser:
        yield browser


@pytest.fixture
def opened(tab, page) -> Browser:
    tab.look(1280, 900, "light")
    tab.open(page)
    return tab


def test_nothing_fails_and_nothing_is_fetched(opened, page):
    opened.run("window.scrollTo(0, document.documentElement.scrollHeight)")
    opened.run("new Promise((done) => setTimeout(done, 300))")
    assert opened.said("Runtime.exceptionThrown") == []
    assert opened.said("Runtime.consoleAPICalled") == []
    assert [e["entry"]["text"] for e in opened.said("Log.entryAdded")] == []
    asked = {event["request"]["url"] for event in opened.said("Network.requestWillBeSent")}
    assert page.as_uri() in asked
    assert {url.partition(":")[0] for url in asked} == {"file", "data"}
    assert len([url for url in asked if url.startswith("file:")]) == 1
    assert opened.run("document.scripts.length") == 1, "a hostile name became a script"


def test_the_policy_stops_what_a_name_might_smuggle_in(opened):
    opened.run(
        """(() => { const script = document.createElement("script");
        script.textContent = "window.smuggled = 1"; document.body.append(script);
        const image = new Image(); image.src = "http://127.0.0.1:9/x.png";
        document.body.append(image); return new Promise((done) => setTimeout(done, 200)); })()"""
    )
    assert opened.run("typeof window.smuggled") == "undefined"
    said = " ".join(e["entry"]["text"] for e in opened.said("Log.entryAdded"))
    assert "script-src" in said
    assert "img-src" in said


def test_pictures_and_charts_are_drawn(opened):
    opened.run("document.querySelectorAll('img').forEach((i) => { i.loading = 'eager'; })")
    opened.run("Promise.all([...document.images].map((i) => i.decode()))")
    empty = "[...document.images].filter((i) => !i.naturalWidth).length"
    assert opened.run("document.images.length") > 10
    assert opened.run(empty) == 0
    boxes = opened.run(
        """[...document.querySelectorAll('.chart svg')].map((svg) =>
        [svg.getBoundingClientRect().width, svg.querySelectorAll('.role-mark path').length])"""
    )
    assert len(boxes) > 10
    assert all(width > 300 and marks > 0 for width, marks in boxes)


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_it_fits_every_window_and_follows_the_readers_colours(tab, page, width, scheme):
    tab.look(width, 900, scheme)
    tab.open(page)
    tab.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert tab.run("document.documentElement.scrollWidth") <= width
    pixels = cv2.imdecode(np.frombuffer(tab.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    paper = np.median(pixels)
    assert paper > 240 if scheme == "light" else paper < 60
    ink = tab.run(
        """getComputedStyle(document.querySelector('.chart .role-axis-label text')).fill"""
    )
    assert (ink == tab.run("getComputedStyle(document.body).color")) is True
    lines = tab.run(
        """[...document.querySelectorAll('.legend circle')].map((c) => getComputedStyle(c).fill)"""
    )
    assert "none" not in lines
    assert len(set(lines)) >= 3


COLUMN = """[...document.querySelector('#summary table').tBodies[0].rows]
            .map((row) => row.cells[%d].textContent.trim())"""


@pytest.mark.parametrize("column", [pytest.param(2, id="MAE"), pytest.param(4, id="gain")])
def test_a_click_sorts_and_a_second_turns_round(opened, column):
    click = f"document.querySelectorAll('#summary th button')[{column}].click()"
    state = f"document.querySelectorAll('#summary th')[{column}].getAttribute('aria-sort')"
    assert opened.run(state) == "none"
    opened.run(click)
    shown = opened.run(COLUMN % column)
    numbers = [float(text.split()[0]) for text in shown if text != "–"]
    assert len(numbers) > 2
    assert numbers == sorted(numbers)
    assert "–" not in shown[: len(numbers)], "empty cells stay last"
    assert opened.run(state) == "ascending"
    opened.run(click)
    shown = opened.run(COLUMN % column)
    assert [float(text.split()[0]) for text in shown if text != "–"] == numbers[::-1]
    assert "–" not in shown[: len(numbers)]
    assert opened.run(state) == "descending"
    others = opened.run("document.querySelectorAll('#summary th[aria-sort=none]').length")
    assert others == opened.run("document.querySelectorAll('#summary th').length") - 1


def test_text_sorts_too_and_a_key_is_enough(opened):
    opened.run("document.querySelectorAll('#summary th button')[1].focus()")
    for kind in ("keyDown", "keyUp"):
        opened.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r",
                    windowsVirtualKeyCode=13)  # fmt: skip
    shown = opened.run(COLUMN % 1)
    assert shown == sorted(shown)
    assert len(set(shown)) == 5


def test_what_only_begins_like_a_number_sorts_as_text(opened):
    table = """[...document.querySelectorAll('#provenance table')]
               .find((t) => t.tHead.textContent.includes('sha256'))"""
    opened.run(f"{table}.querySelectorAll('th button')[1].click()")
    shown = opened.run(f"[...{table}.tBodies[0].rows].map((r) => r.cells[1].textContent.trim())")
    assert shown == sorted(FILES.values())
    assert shown != list(FILES.values())


def test_the_pointer_shows_the_value_of_the_nearest_mark(opened):
    mark = """document.querySelectorAll('#risk .role-mark [role="graphics-symbol"]')[4]"""
    opened.run(f"{mark}.scrollIntoView({{block: 'center'}})")
    x, y, label = opened.run(
        f"""(() => {{ const m = {mark}, b = m.getBoundingClientRect();
        return [b.x + b.width / 2, b.y + b.height / 2, m.getAttribute('aria-label')]; }})()"""
    )
    opened.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + 2, y=y + 1)
    assert "MAE" in label
    assert opened.run("document.getElementById('tip').hidden") is False
    assert opened.run("document.getElementById('tip').textContent") == label
    opened.call("Input.dispatchMouseEvent", type="mouseMoved", x=3, y=3)
    assert opened.run("document.getElementById('tip').hidden") is True


def test_what_is_folded_opens(opened):
    tables = "[...document.querySelectorAll('#tables table')].map((t) => t.checkVisibility())"
    assert not any(opened.run(tables))
    opened.run("document.querySelectorAll('#tables summary').forEach((s) => s.click())")
    assert all(opened.run(tables))


def test_a_hostile_name_is_read_as_it_stands(opened):
    assert HOSTILE in opened.run("document.querySelector('header p').textContent")
    assert HOSTILE in opened.run("document.querySelector('#faces h4').textContent")

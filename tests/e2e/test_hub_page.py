"""What the hub's page shows in a real browser: Chromium, driven over the DevTools protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from deployers.hub.examples import RETRAINING
from deployers.hub.routes import page
from tests.page_hub import HOSTILE, FakeHub, Server, application, celsius, challenged, decayed, serving
from tests.page_visits import SHOWN, STEPS, look, visit

if TYPE_CHECKING:
    from tests.browser import Tab

# Ratio of two colours' luminances, https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio, of every text on its background.
CONTRASTS = """(() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const [r, g, b, a = 1] = channels(getComputedStyle(one).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const element of document.querySelectorAll("body *")) {
    const isText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!isText || !element.checkVisibility() || element.disabled) continue;
    const [a, b] = [luminance(channels(getComputedStyle(element).color)), luminance(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${element.tagName}.${element.className}: ${element.textContent}`);
  }
  return low;
})()"""
NAMELESS = """[...document.querySelectorAll("button, select, input, [role=img]")].filter((element) =>
  !(element.getAttribute("aria-label") || element.textContent.trim() && element.tagName === "BUTTON"
    || element.labels?.length || !element.checkVisibility())).map((element) => element.outerHTML)"""
INK = """[...document.querySelectorAll("#chart canvas")].map((canvas) => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let ink = 0;
  for (let place = 3; place < data.length; place += 4) ink += data[place] > 0;
  return ink;
}).reduce((a, b) => a + b, 0)"""
WAITS = [2, 3, 6, 12, 24, 30, 30]  # seconds between tries, while there is no answer
PICTURE = "[...document.querySelectorAll('#chart canvas')].map((canvas) => canvas.toDataURL()).join()"


def test_a_token_is_typed_in_kept_for_the_tab_and_forgotten(tab: Tab, server: Server) -> None:
    tab.open(f"http://127.0.0.1:{server.port}/")
    tab.wait("document.activeElement.id === 'token'")
    assert not tab.run("document.querySelector('#content').checkVisibility()")
    tab.type("wrong")
    tab.key("Enter", 13)
    tab.wait("document.querySelector('#message').innerText.includes('none of its own')")
    tab.type("reader")
    tab.key("Enter", 13)
    tab.wait(SHOWN)
    assert tab.run("document.querySelector('#sign-in').hidden")
    tab.call("Page.reload")
    tab.wait("document.readyState === 'complete' && " + SHOWN)
    tab.click("#leave")
    tab.wait("!document.querySelector('#sign-in').hidden")
    assert tab.run("[sessionStorage.length, localStorage.length, document.cookie]") == [0, 0, ""]
    assert not tab.run("document.querySelector('#content').checkVisibility()")


def test_a_token_in_the_address_is_taken_out_of_it(tab: Tab, server: Server) -> None:
    visit(tab, server, "reader")
    assert tab.run("location.href") == f"http://127.0.0.1:{server.port}/"
    assert tab.run("history.length") <= 2


def test_a_token_that_cannot_be_one_is_refused_in_words(tab: Tab, server: Server) -> None:
    tab.open(f"http://127.0.0.1:{server.port}/")
    for token in ("\u00e9t\u00e9 \u2603", "a b", "x" * 5000):
        tab.wait("document.activeElement.id === 'token'")
        tab.run("document.querySelector('#message').hidden = true")
        tab.type(token)
        tab.key("Enter", 13)
        assert "refused the token" in tab.wait("document.querySelector('#message').innerText")
        tab.wait("document.querySelector('#status').innerText === 'Signed out'")


def test_readings_appear_as_they_come(tab: Tab, server: Server, hub: FakeHub) -> None:
    visit(tab, server, "reader")
    before, text = tab.run(PICTURE), tab.text("#now")
    assert tab.run(INK) > 3000
    assert "MAE of the last day: board's model 0.0" in tab.text("#error")
    assert f"{celsius(STEPS - 1):.2f} °C" in text
    for step in range(STEPS, STEPS + 3):
        hub.store.step("board-1", step)
    look(tab)
    tab.wait(f"document.querySelector('#now').innerText.includes('{celsius(STEPS + 2):.2f} °C')")
    assert tab.run(PICTURE) != before
    assert f"last {celsius(STEPS + 2):.2f} °C" in tab.run("document.querySelector('#chart').getAttribute('aria-label')")
    assert tab.run("document.querySelector('#last tbody td').textContent") == f"{celsius(STEPS + 2):.2f}"
    assert tab.complaints == []


def test_increments_add_up_to_what_a_whole_answer_says(tab: Tab, server: Server, hub: FakeHub) -> None:
    visit(tab, server, "reader")
    ask = """async (query) => (await (await fetch(`/live?series=board-1&hours=1${query}`,
      {headers: {Authorization: "Bearer reader"}})).json()).chosen.chart"""
    tab.run(f"(async () => {{ window.ask = {ask}; window.lines = await import('/static/lines.js');"
            " window.before = await ask(''); })()")  # fmt: skip
    hub.store.step("board-1", STEPS)
    look(tab)
    tab.wait(f"document.querySelector('#now').innerText.includes('{celsius(STEPS):.2f} °C')")
    found = tab.run("""(async () => {
      const since = before.lines.readings.at(-1)[0];
      const [part, whole] = [await ask(`&since=${since}`), await ask("")];
      const both = lines.merged(before.lines, part);
      const holed = {...before.lines, readings: before.lines.readings.filter((_, index) => index !== 2)};
      return {same: JSON.stringify(both) === JSON.stringify(whole.lines), kept: part.kept.readings,
              again: lines.merged(holed, part), nothing: lines.merged(null, part)};
    })()""")
    assert found == {"same": True, "kept": found["kept"], "again": None, "nothing": None}
    assert found["kept"] > 0


def test_another_series_span_and_lead_can_be_chosen_by_keyboard(tab: Tab, server: Server) -> None:
    visit(tab, server, "reader")
    tab.run("document.querySelector('#lead').focus()")
    tab.key("ArrowUp", 38)
    tab.wait("document.querySelector('#now').innerText.includes('in 50 min')")
    tab.run("document.querySelector('#hours').focus()")
    tab.key("ArrowUp", 38)
    tab.wait("document.querySelector('#chart').getAttribute('aria-label').includes('from 2024-04-26 19')")
    tab.run("document.querySelector('#series').focus()")
    tab.key("End", 35)
    tab.wait("document.querySelector('#error').innerText.startsWith('No forecast')")
    assert tab.run("document.querySelector('#lead').disabled")


def test_an_answer_that_comes_after_a_newer_one_is_not_shown(tab: Tab, server: Server) -> None:
    visit(tab, server, "reader")
    labels = tab.run("""(async () => {
      const [chart, hours] = ["#chart", "#hours"].map((name) => document.querySelector(name));
      const usual = fetch, seen = [];
      let late;
      const delivered = new Promise((resolve) => { late = resolve; });
      window.fetch = async (url, options) => {
        const answer = await usual(url, options);
        if (!url.includes("hours=1&")) return answer;
        await new Promise((resolve) => setTimeout(resolve, 600));
        setTimeout(late, 200);
        return answer;
      };
      const observer = new MutationObserver(() => seen.push(chart.getAttribute("aria-label")));
      observer.observe(chart, {attributeFilter: ["aria-label"]});
      for (const value of ["1", "6"]) {
        hours.value = value;
        hours.dispatchEvent(new Event("change"));
      }
      await delivered;
      return seen;
    })()""")
    assert len(set(labels)) == 1
    assert "from 2024-04-26 19" in labels[0]


def test_the_chart_is_zoomed_by_dragging_and_shown_whole_again(tab: Tab, server: Server) -> None:
    visit(tab, server, "reader")
    x, y, width, height = tab.run(
        "(({x, y, width, height}) => [x, y, width, height])(document.querySelector('#chart').getBoundingClientRect())"
    )
    for kind, at in (("mousePressed", 0.4), ("mouseMoved", 0.5), ("mouseMoved", 0.7), ("mouseReleased", 0.7)):
        tab.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x + at * width,
            y=y + height / 2,
            button="left",
            buttons=1,
            clickCount=1,
        )
    tab.wait("!document.querySelector('#unzoom').hidden")
    tab.click("#unzoom")
    tab.wait("document.querySelector('#unzoom').hidden")
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + width / 2, y=y + height / 2)
    assert "board" in tab.wait("document.querySelector('#point').innerText")
    assert tab.complaints == []
    whole = tab.run(INK)
    tab.click("[data-line='0']")
    assert tab.run(INK) < whole


def test_on_a_phone_one_finger_scrolls_the_page_and_two_zoom_the_chart(tab: Tab, server: Server) -> None:
    tab.size(360, 740, mobile=True)
    tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
    visit(tab, server, "reader")
    tab.wait("innerWidth === 360")  # a new process takes the window's size a moment after it began to draw
    x, y = tab.run("(({x, y, width, height}) => [x + width / 2, y + height / 2])(chart.getBoundingClientRect())")
    for kind, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 90)):
        points = [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}]
        tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    tab.wait("!document.querySelector('#unzoom').hidden")
    assert tab.complaints == []
    for kind, moved in (("touchStart", 0), *(("touchMove", 25 * step) for step in range(1, 7))):
        tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y - moved}])
    tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    tab.wait("scrollY > 50")


def test_a_board_with_html_in_its_id_is_shown_as_text(tab: Tab, server: Server, hub: FakeHub) -> None:
    hub.store.kept["z" + HOSTILE] = hub.store.kept["kitchen/window"]
    hub.catalogue.found[9].model = HOSTILE
    hub.begin("deploy", {"version": HOSTILE})
    hub.jobs_kept[0].doing = HOSTILE
    visit(tab, server, "deployer")
    tab.run("document.querySelector('#series').focus()")
    tab.key("End", 35)
    tab.wait(f"document.querySelector('#series').value === {json.dumps('z' + HOSTILE)}")
    tab.wait("document.querySelector('#error').innerText.startsWith('No forecast')")
    assert tab.run("[document.images.length, document.title]") == [0, "edgeloop hub"]
    for part in ("#devices", "#models", "#jobs"):
        assert HOSTILE in tab.text(part)
    assert tab.complaints == []


def test_the_policy_stops_a_script_that_gets_in_all_the_same(tab: Tab, server: Server) -> None:
    visit(tab, server, "reader")
    tab.run("""(() => {
      const script = document.createElement("script");
      script.textContent = "window.taken = true";
      document.body.append(script);
      const box = document.createElement("div");
      box.innerHTML = "<p style='color: red' id='styled' onclick='window.taken = true'>x</p>";
      document.body.append(box);
      box.firstChild.click();
    })()""")
    assert tab.run("[window.taken, document.querySelector('#styled').style.color]") == [None, ""]
    assert len([line for line in tab.complaints if "Content Security Policy" in line]) >= 2


def test_a_hub_that_goes_is_missed_and_one_that_comes_back_is_found(tab: Tab, server: Server, hub: FakeHub) -> None:
    visit(tab, server, "deployer")
    server.stop()
    tab.wait("document.querySelector('#status').innerText === 'Hub away'")
    assert "The hub does not answer since" in tab.text("#away")
    assert "board-1" in tab.text("#devices")
    hub.store.step("board-1", STEPS)
    server.start()
    tab.wait("document.querySelector('#status').innerText === 'Live'")
    assert tab.run("document.querySelector('#away').hidden")
    tab.wait(f"document.querySelector('#now').innerText.includes('{celsius(STEPS):.2f} °C')")


def test_waits_grow_while_the_hub_is_away_and_a_click_ends_them(tab: Tab, server: Server) -> None:
    visit(tab, server, "reader")
    tab.run("""(() => {
      window.waits = [];
      const [lamp, text] = ["#lamp", "#away-text"].map((one) => document.querySelector(one));
      const note = () => lamp.className === "away" && waits.push(Number(text.innerText.match(/in (\\d+) s/)[1]));
      new MutationObserver(note).observe(lamp, {attributes: true}); // set after every try, the text where it changes
    })()""")
    server.stop()
    tab.wait("waits.length >= 2")
    # A try may also begin by itself before the click: either way the next wait is the longer one.
    while (known := tab.run("waits.length")) < len(WAITS):
        tab.click("#retry")
        tab.wait(f"waits.length > {known}")
    assert tab.run(f"waits.slice(0, {len(WAITS)})") == WAITS
    server.start()
    tab.run("document.querySelector('#retry').click()")  # which is gone if a try began by itself
    tab.wait("document.querySelector('#status').innerText === 'Live'")


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1280, 900)])
def test_the_page_fits_and_can_be_read(tab: Tab, server: Server, hub: FakeHub, width: int, height: int) -> None:
    hub.begin("deploy", {"version": 9, "boards": ["board-1", "board-2"]})
    hub.monitor, hub.shadows = decayed(), challenged()
    hub.retraining.enabled, hub.retraining.rows = True, [RETRAINING]
    tab.size(width, height, mobile=width < 500)
    visit(tab, server, "deployer")
    tab.wait(f"innerWidth === {width}")
    tab.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run(NAMELESS) == []
    assert "7 on the board" in tab.text("#versions")
    assert len(tab.text("#leads tbody").splitlines()) == 6
    for scheme in ("light", "dark"):
        tab.prefer(prefers_color_scheme=scheme)
        assert tab.run(CONTRASTS) == []
        back = tab.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
        assert (back < 60) == (scheme == "dark")
        tab.wait(f"{PICTURE} !== window.before")  # the chart is drawn anew in the scheme's colours
        tab.run(f"window.before = {PICTURE}")
    tab.run("document.querySelector('#confirm').showModal()")
    assert tab.run("document.documentElement.scrollWidth") <= width


def test_without_the_library_the_tables_say_it_all(tab: Tab, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "LIBRARY_FOLDERS", ())
    visit(tab, server, "reader")
    assert "apt-get install libjs-dygraphs" in tab.text("#no-chart")
    assert not tab.run("document.querySelector('#chart-box').checkVisibility()")
    assert (
        tab.run("[...document.querySelectorAll('#last tbody tr')].filter((row) => row.checkVisibility()).length") == 12
    )


def test_a_hub_without_readings_says_so(tab: Tab) -> None:
    with serving(application(FakeHub())) as server:
        tab.open(f"http://127.0.0.1:{server.port}/#token=reader")
        tab.wait("document.querySelector('#no-readings').checkVisibility()")
        assert "No board has a key" in tab.text("#devices-note")
        assert not tab.run("document.querySelector('#chart-box').checkVisibility()")
        assert tab.complaints == []


def test_the_monitor_names_trouble_first_and_draws_skill_day_by_day(tab: Tab, server: Server, hub: FakeHub) -> None:
    hub.monitor = decayed()
    visit(tab, server, "reader")
    tab.wait("!document.querySelector('#skill-box').hidden")
    rows = tab.run("[...document.querySelectorAll('#monitor tbody tr')].map((row) => row.innerText)")
    assert len(rows) == 2
    assert "board-1" in rows[0]
    assert "alarm" in rows[0]
    assert "deficit" in rows[0]
    assert "ok" in rows[1]
    assert tab.run("document.querySelector('#monitor-note').innerText").startswith("1 of 2 series in trouble")
    assert "Tests of board-1" in tab.run("document.querySelector('#findings').innerText")
    assert tab.run("document.querySelector('#skill').getAttribute('aria-label')").startswith("Skill of 30 days")
    assert tab.run(INK.replace("#chart", "#skill")) > 1000
    assert "e+" not in tab.run("document.querySelector('#skill').innerText"), "days are written as dates"
    tab.run("document.querySelector('#series').value = 'board-2'")
    tab.run("document.querySelector('#series').dispatchEvent(new Event('change'))")
    tab.wait("document.querySelector('#findings').innerText.includes('Tests of board-2')")
    assert not tab.run("document.querySelector('#shadow-box').checkVisibility()"), "there is no challenger"
    assert tab.complaints == []


def test_challengers_are_shown_beside_the_champion_with_their_verdict(tab: Tab, server: Server, hub: FakeHub) -> None:
    hub.shadows = challenged()
    visit(tab, server, "reader")
    tab.wait("document.querySelector('#duel-box').checkVisibility()")
    row = tab.run("document.querySelector('#challengers tbody').innerText")
    for text in ("Version 9", "better", "version 7", "8 of 9 days", "may be promoted: deploy or activate version 9"):
        assert text in row
    assert tab.text("#shadow-note").endswith("better at an e-value of 10, after 5 to 28 complete days.")
    said = tab.run("document.querySelector('#duel').getAttribute('aria-label')")
    assert said == "Skill of 9 days: challenger 0.320, champion 0.300"
    assert tab.run(INK.replace("#chart", "#duel")) > 1000
    rows = tab.run("[...document.querySelectorAll('#carried tbody tr')].map((row) => row.innerText)")
    assert ["0.000021 °C" in rows[0], "1,290" in rows[0], "refused" in rows[1], "NN_ARENA" in rows[1]] == [True] * 4
    hub.shadows.boards.clear()
    tab.wait("!document.querySelector('#carried').checkVisibility()")
    assert tab.run("document.querySelector('#challengers').checkVisibility()")
    assert tab.complaints == []

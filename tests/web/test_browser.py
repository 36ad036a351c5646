"""The pages in a real browser: light and dark, desktop and phone, by keyboard, for assistive technology, live."""

import os
import shutil

import pytest
from serving import Server
from web_project import scriptflow

pytestmark = [pytest.mark.slow, pytest.mark.browser]

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
PAGES = (
    "/",
    "/flows/paper",
    "/r/paper-2",
    "/r/paper-2/tasks",
    "/r/paper-2/t/simulate-5",
    "/r/paper-2/t/simulate-5/log",
    "/r/paper-2/t/simulate-5/log?q=column",
    "/r/paper-1/graph",
    "/r/paper-1/timeline",
    "/files",
    "/files/sim_0.csv",
    "/settings",
    "/r/nix",
)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if not os.path.exists(CHROMIUM):
        pytest.skip("no chromium here")
    with playwright.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Look:
    """One browser window with the cookie of a server; remembers what went wrong in it."""

    def __init__(self, browser, server, **how):
        self.base = server.url
        self.context = browser.new_context(**how)
        self.page = self.context.new_page()
        self.wrong = []
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.wrong.append(said.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda sent: sent.url.startswith(self.base) or self.wrong.append(sent.url))
        self.page.goto(f"{self.base}/?token={server.token}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def goto(self, path):
        self.page.goto(self.base + path)
        self.page.wait_for_load_state("load")
        return self.page


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_and_has_no_errors_and_asks_nobody_else(browser, server, scheme, width):
    with Look(browser, server, viewport={"width": width, "height": 820}, color_scheme=scheme) as look:
        for path in PAGES:
            page = look.goto(path)
            if path != "/r/nix":
                page.locator("#live").wait_for()
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, path
            wrong = [said for said in look.wrong if path != "/r/nix" or "404" not in said]
            assert wrong == [], path
            look.wrong.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_meets_wcag_2_2_aa(browser, server, scheme):
    axe_of = pytest.importorskip("axe_playwright_python.sync_playwright")
    how = {"color_scheme": scheme, "bypass_csp": True, "reduced_motion": "reduce"}
    found = {}
    for width in (390, 1200):
        with Look(browser, server, viewport={"width": width, "height": 820}, **how) as look:
            for path in PAGES:
                page = look.goto(path)
                options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
                results = axe_of.Axe().run(page, options=options)
                for fault in results.response["violations"]:
                    nodes = [node["html"][:150] for node in fault["nodes"][:2]]
                    found[fault["id"], path, width] = (fault["help"], nodes)
    assert found == {}


def test_from_the_start_page_to_a_failing_log_with_keys_alone(browser, server):
    with Look(browser, server, viewport={"width": 1200, "height": 820}) as look:
        page = look.goto("/")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**/r/paper-2")
        page.keyboard.press("f")
        assert page.locator(":focus").inner_text() == "simulate-5"
        page.keyboard.press("Enter")
        page.wait_for_url("**/t/simulate-5")
        page.keyboard.press("l")
        page.wait_for_url("**/t/simulate-5/log**")
        assert "ValueError: no such column: yield" in page.locator("#log").inner_text()
        page.go_back()
        page.wait_for_url("**/t/simulate-5")


def test_the_same_with_tab_and_enter_only(browser, server):
    with Look(browser, server, viewport={"width": 1200, "height": 820}) as look:
        page = look.goto("/r/paper-2")
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.locator(":focus").inner_text() == "Full log":
                break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        page.wait_for_url("**/log**")


def test_the_keys_are_explained_and_search_has_one(browser, server):
    with Look(browser, server) as look:
        page = look.goto("/r/paper-2/tasks")
        page.keyboard.press("?")
        assert page.locator("#help").is_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("/")
        page.keyboard.type("simulate-[0-3]")
        page.keyboard.press("Enter")
        page.wait_for_url("**q=simulate*")
        assert "state=" not in page.url
        assert page.locator("#tasks tbody tr").count() == 4


def test_colours_can_be_chosen_and_are_kept(browser, server):
    with Look(browser, server, color_scheme="light") as look:
        page = look.goto("/")
        ground = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(ground) == "rgb(255, 255, 255)"
        page.locator("#theme").click()
        page.locator("#theme").click()
        assert page.evaluate(ground) == "rgb(13, 17, 23)"
        look.goto("/files")
        assert page.evaluate(ground) == "rgb(13, 17, 23)"


def test_on_a_phone_the_failure_and_its_log_are_on_the_first_screen(browser, server):
    with Look(browser, server, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as look:
        page = look.goto("/r/paper-2")
        tail = page.locator("#failures pre").first
        assert "no such column" in tail.inner_text()
        box = tail.bounding_box()
        assert box["y"] + box["height"] < 844


def test_what_can_be_touched_is_large_enough(browser, server):
    with Look(browser, server, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as look:
        for path in ("/", "/r/paper-2", "/r/paper-2/tasks", "/files"):
            page = look.goto(path)
            for element in page.locator("button:visible, select:visible, .top a:visible, .list .name a:visible").all():
                box = element.bounding_box()
                assert box["height"] >= 24, (path, element.inner_text())


def test_a_log_with_tags_and_escapes_is_text(browser, server):
    with Look(browser, server) as look:
        page = look.goto("/r/paper-2/t/simulate-5")
        assert "<img src=x onerror=alert(1)>" in page.locator("#log").inner_text()
        assert page.locator("#log *").count() == 0
        assert look.wrong == []


def test_the_page_of_a_live_run_changes_by_itself(browser, live):
    with Look(browser, live.server) as look:
        page = look.goto("/r/last")
        page.locator("#live[data-state=on]").wait_for()
        assert "running" in page.locator("h1").inner_text()
        live.finish()
        page.locator("h1 .state.ok").wait_for(timeout=10_000)
        assert page.locator("#tile-succeeded").inner_text().split() == ["✓", "1", "ok"]
        assert look.wrong == []


def test_a_log_grows_on_the_page_while_its_task_runs(browser, live):
    with Look(browser, live.server) as look:
        page = look.goto("/r/last/t/slow")
        log = page.locator("#log")
        log.filter(has_text="begun").wait_for()
        live.finish()
        log.filter(has_text="ended").wait_for(timeout=10_000)
        assert log.inner_text().split() == ["begun", "ended"]


def test_a_page_goes_on_after_the_server_was_started_anew(browser, project):
    first = Server(project)
    with Look(browser, first) as look:
        page = look.goto("/")
        page.locator("#live[data-state=on]").wait_for()
        rows = page.locator("#runs .list tbody tr").count()
        first.stop()
        page.locator("#live:not([data-state=on])").wait_for(timeout=10_000)
        scriptflow(project, "run", "paper", "--tol", "1e-9")
        # At the same port: what stands in the browser's address is all that it knows.
        with Server(project, "--port", str(first.port)):
            page.locator("#live[data-state=on]").wait_for(timeout=40_000)
            page.locator("#runs .list tbody tr").nth(rows).wait_for(timeout=10_000)


def test_a_run_is_cancelled_from_the_page(browser, live):
    with Look(browser, live.server) as look:
        page = look.goto(f"/r/last?token={live.server.action_token}")
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_text("Cancel the run").click()
        page.locator("h1 .state.stopped").wait_for(timeout=20_000)
        assert live.run.wait(20) != 0


def test_without_javascript_the_pages_say_the_same(browser, server):
    with Look(browser, server, java_script_enabled=False) as look:
        page = look.goto("/r/paper-2")
        assert "no such column" in page.locator("#failures").inner_text()
        page.get_by_text("Full log").first.click()
        page.wait_for_url("**/log**")

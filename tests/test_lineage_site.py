"""`make site`: the lineage graph of a finished run as a static site, looked at in a browser."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import ConsoleMessage, Page, sync_playwright

from tests.conftest import copy_project

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NAMESPACES = {"data_processing", "embedding", "task1", "task2", "task1_and_2", "all_tasks"}
CONTRACTS = {
    "item_content",
    "item_tags",
    "provided_item_embedding",
    "item_embedding",
    "data_report",
    "data_diagnostics",
}
CONTRACTS |= {"clicks_train", "clicks_valid", "clicks_test", "report", "bundle"}
LIGHT = {"theme": "light", "showFeatureHints": False, "visible": {"sidebar": False, "miniMap": False}}

pytestmark = pytest.mark.slow
in_a_browser = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium or Chrome on this machine")


class Site:
    """The site that `make site` built in a copy of the project, with the answers of the viewer's API in it."""

    def __init__(self, folder: Path, data: Path | None) -> None:
        copy_project(folder)
        if data is not None:
            (folder / "data").mkdir(exist_ok=True)
            (folder / "data" / "smoke").symlink_to(data)
        built = subprocess.run(
            ["make", "site", f"VENV={sys.prefix}", "-o", f"{sys.prefix}/.base"],
            cwd=folder,
            env={**os.environ, "KEDRO_ENV": "smoke", "PYTHONPATH": str(folder / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        self.said = built.stdout + built.stderr
        assert built.returncode == 0, self.said
        self.path = folder / "build" / "lineage"
        self.ids = {node["name"]: node["id"] for node in self.answer("main")["nodes"]}

    def answer(self, name: str) -> dict:
        return json.loads((self.path / "api" / name).read_text())

    def of_dataset(self, name: str) -> dict:
        return self.answer(f"nodes/{self.ids[name]}")


@pytest.fixture(scope="module")
def site(main_job, tmp_path_factory) -> Site:
    return Site(tmp_path_factory.mktemp("project"), main_job)


@pytest.fixture(scope="module")
def address(site):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site.path)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])


@pytest.fixture
def page(browser, address):
    """The graph, its namespaces closed; fails where the page told of an error that is not Kedro-Viz's own."""
    errors: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # A static site has no api/metadata, which is for the viewer's own server, and its typeface comes from Google.
        known = ("api/metadata", "metadata fetch error", "fonts.googleapis.com")
        if message.type == "error" and not any(part in message.text + message.location["url"] for part in known):
            errors.append(message.text)

    with browser.new_context(viewport={"width": 1500, "height": 950}) as context:
        context.route(lambda url: not url.startswith(address), lambda route: route.abort())  # nothing from outside
        context.add_init_script(f"localStorage.setItem('KedroViz', '{json.dumps(LIGHT)}')")
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_selector(".pipeline-node")
        yield page
    assert errors == []


def opened(page: Page, name: str):
    """Click on a dataset: the panel that opens."""
    page.locator(".pipeline-node").filter(has_text=name).filter(has=page.get_by_text(name, exact=True)).click()
    panel = page.locator(".pipeline-metadata.kedro")
    panel.get_by_role("heading", name=name, exact=True).wait_for()
    return panel


def test_every_dataset_of_the_main_job_has_a_preview(site):
    kinds = {node["id"]: node["type"] for node in site.answer("main")["nodes"]}
    without = [name for name, of in site.ids.items() if kinds[of] == "data" and not site.of_dataset(name)["preview"]]
    assert without == ["log_folder"]  # of another world
    assert "could not be previewed" not in site.said


def test_the_site_is_light(site):
    assert sum(file.stat().st_size for file in (site.path / "api").rglob("*") if file.is_file()) < 5 << 20


def test_it_says_where_the_site_is_and_how_to_look_at_it(site):
    assert "The site is build/lineage/" in site.said
    assert "-m http.server" in site.said


def test_without_results_the_graph_is_there_and_nothing_warns(tmp_path):
    site = Site(tmp_path, None)
    assert {*site.ids, *site.answer("main")["modular_pipelines"]} >= NAMESPACES | CONTRACTS
    assert {name for name in site.ids if site.of_dataset(name).get("preview")} == set()
    assert "could not be previewed" not in site.said


@in_a_browser
def test_the_graph_opens_with_namespaces_closed_and_the_contracts_between_them(page, tmp_path):
    page.wait_for_timeout(1000)  # it moves into place
    page.screenshot(path=tmp_path / "graph.png")
    names = page.locator(".pipeline-node").all_text_contents()
    assert set(names) >= NAMESPACES | CONTRACTS
    assert len(names) <= 32


@in_a_browser
def test_a_click_on_clicks_shows_rows_with_histories(page, tmp_path):
    panel = opened(page, "clicks_train")
    panel.screenshot(path=tmp_path / "clicks_train.png")
    headings = panel.locator(".preview-table th").all_inner_texts()
    assert headings[1:4] == ["user int32", "history int32[], oldest first", "item int32"]
    assert panel.locator(".preview-table__row").count() == 8


@in_a_browser
def test_a_click_on_covers_shows_them(page, tmp_path):
    panel = opened(page, "covers")
    picture = panel.locator("img")
    assert picture.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") == 6 * 112
    panel.screenshot(path=tmp_path / "covers.png")


@in_a_browser
def test_a_click_on_the_report_shows_its_words_in_full_screen_too(page, tmp_path):
    panel = opened(page, "report")
    panel.get_by_role("button", name="Expand preview").click()
    page.locator(".preview-table__large").get_by_text("A row shows a user's last clicks").wait_for()
    page.screenshot(path=tmp_path / "report.png")


@in_a_browser
def test_a_click_on_a_figure_of_a_task_draws_it(page, address, tmp_path):
    page.goto(f"{address}?pid=task2&expandAllPipelines=true")
    panel = opened(page, "task2.roc_figure")
    lines = panel.locator(".js-plotly-plot .scatterlayer .js-line")
    lines.nth(1).wait_for(state="attached")  # after that of chance
    assert len(lines.nth(1).get_attribute("d")) > 100
    page.screenshot(path=tmp_path / "figure.png")

"""The page of a report in a real browser, opened from disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

LONG = "a method with a name that is far too long for any narrow screen" * 2
VALUES = {
    problem: {
        "least squares": [0.10, 0.12, 0.14],
        "spo+": [0.08, 0.09, 0.11],
        "no-break-" + LONG.replace(" ", "_"): [1.0, 1.02, 1.05],
        "<i>squared</i>": [0.2, 0.21, 0.2],
        "theoretical minimum": [0.05, 0.06, 0.06],
    }
    for problem in ("grid", "tour")
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start headless Chromium; absent on a user's machine, demanded in CI."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium and chromedriver must be installed in CI")
        pytest.skip("there is no chromium with its chromedriver")
    selenium = pytest.importorskip("selenium.webdriver")
    options = selenium.ChromeOptions()
    options.binary_location = programs[0]
    # a container's root has no sandbox, and little shared memory
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = selenium.ChromeService(executable_path=programs[1])
    driver = selenium.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser: Any, dfl: Callable, write_run: Callable, tmp_path: Path) -> Any:
    """Open a report from disk, without a network."""
    folder = write_run("run", VALUES, failed={"grid, spo+, seed 9": "it diverged"})
    assert dfl("report", str(folder), "--out", "out")[0] == 0
    browser.execute_cdp_cmd("Network.enable", {})
    nowhere = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", nowhere)
    browser.get((tmp_path / "out" / "report.html").as_uri())
    return browser


def width(browser: Any, pixels: int, scheme: str = "light") -> None:
    metrics = {"width": pixels, "height": 800, "deviceScaleFactor": 1, "mobile": pixels < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def column(browser: Any, name: str) -> list[str]:
    """Return what stands in a column of the first table of the first problem."""
    return browser.execute_script(
        """
        const table = [...document.querySelectorAll("section")]
          .find((one) => one.querySelector("h2").textContent === "grid").querySelector("table");
        const place = [...table.tHead.rows[0].cells]
          .findIndex((one) => one.textContent.trim() === arguments[0]);
        return [...table.tBodies[0].rows].map((row) => row.cells[place].textContent.trim());
        """,
        name,
    )


def test_the_page_opens_sorts_and_fits_a_narrow_screen(opened: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    width(opened, 1200)
    # pictures are there, with a size
    boxes = opened.execute_script(
        "return [...document.querySelectorAll('figure svg')].map((one) => {"
        "const box = one.getBoundingClientRect();"
        "return [box.width, box.height, one.getBBox().width];});"
    )
    assert len(boxes) == 5
    assert all(min(box) > 100 for box in boxes)

    # numbers are sorted as numbers, what is missing comes last, and a name is a name
    def head(name: str) -> Any:
        return opened.find_element(
            By.XPATH, f"//section[h2='grid']//th[normalize-space()='{name}']/button"
        )

    assert "<i>squared</i>" in column(opened, "method")
    for click in ("up", "down"):
        head("rank").click()
        ranks = column(opened, "rank")
        expected = ["1.0", "2.0", "3.0", "4.0"]
        assert ranks == [*(expected if click == "up" else expected[::-1]), ""]
    means = [float(text.split()[0]) for text in column(opened, "mean [95 %]")]
    head("mean [95 %]").send_keys(Keys.ENTER)  # by the keyboard
    assert [float(text.split()[0]) for text in column(opened, "mean [95 %]")] == sorted(means)
    head("minus least squares [95 %]").click()
    *gaps, missing = column(opened, "minus least squares [95 %]")
    assert missing == ""
    assert [gap[0] for gap in gaps] == ["-", "-", "+", "+"]
    assert [float(gap.split()[0]) for gap in gaps] == sorted(float(g.split()[0]) for g in gaps)
    head("method").send_keys(Keys.SPACE)
    names = column(opened, "method")
    assert names.index("least squares") < names.index("spo+") < names.index("theoretical minimum")
    states = opened.execute_script(
        "return [...document.querySelectorAll('th[aria-sort]')].map((one) => one.ariaSort)"
    )
    assert states == ["ascending"]

    for scheme in ("light", "dark"):
        width(opened, 400, scheme)
        wide, seen = opened.execute_script(
            "return [document.documentElement.scrollWidth, window.innerWidth]"
        )
        assert (wide, seen) == (400, 400)
        assert opened.execute_script("return document.body.innerText").count("it diverged") == 1
        ink, paper = opened.execute_script(
            "const style = getComputedStyle(document.body);"
            "return [style.color, style.backgroundColor]"
        )
        assert contrast(ink, paper) > 7
        axis = opened.execute_script(
            "return getComputedStyle(document.querySelector('figure svg text')).fill"
        )
        assert contrast(axis, paper) > 4.5
    smallest = opened.execute_script(
        "return Math.min(...[...document.querySelectorAll('p, td, th, li, figcaption')]"
        ".map((one) => parseFloat(getComputedStyle(one).fontSize)))"
    )
    assert smallest >= 14

    # nothing went wrong, and nothing was asked for elsewhere
    assert opened.get_log("browser") == []
    asked = opened.execute_script(
        "return performance.getEntriesByType('resource').map((one) => one.name)"
    )
    assert asked == []


def contrast(first: str, second: str) -> float:
    """Return the ratio of luminances of two colors such as rgb(1, 2, 3)."""

    def luminance(color: str) -> float:
        parts = [int(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)

"""Look at every page of the built site in headless Chromium, at desktop and at phone width.

``python docs/check_pages.py [folder]`` fails if a page scrolls sideways, a picture is broken, a
formula is not drawn, a script complains, or anything comes from the network, of which the browser
has none. It needs selenium (extra ``test``), and ``chromium`` and ``chromedriver`` of one version.
"""

import shutil
import sys
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

WIDTHS = {"desktop": 1280, "phone": 400}
# what the page as a whole has, then what depends on its width
FAULTS = r"""
const found = [];
for (const picture of document.images)
  if (picture.complete && picture.naturalWidth === 0) found.push("broken picture " + picture.src);
for (const formula of document.querySelectorAll(".math"))
  if (!formula.querySelector("math")) found.push("formula not drawn " + formula.textContent);
for (const fault of document.querySelectorAll("merror, .problematic"))
  found.push("not drawn " + fault.textContent);
const text = document.querySelector("article")?.cloneNode(true);
text?.querySelectorAll("pre, code, script, math").forEach((part) => part.remove());
if (/\$\$|\\\(|\\\[|\{(doc|cite:\w|ref)\}`/.test(text?.textContent ?? ""))
  found.push("markup that is not rendered");
for (const entry of performance.getEntriesByType("resource"))
  if (!entry.name.startsWith("file:") && !entry.name.startsWith("data:"))
    found.push("from the network " + entry.name);
return found;
"""
OVERFLOW = r"""
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth <= width) return null;
const wide = [...document.querySelectorAll("body *")].filter((part) => {
  if (part.getBoundingClientRect().right <= width + 1) return false;
  for (let up = part.parentElement; up && up !== document.body; up = up.parentElement)
    if (getComputedStyle(up).overflowX !== "visible") return false;
  return true;
});
const last = wide.at(-1);
return document.documentElement.scrollWidth + " px wide" +
  (last ? ": <" + last.localName + "> " + last.textContent.trim().slice(0, 60) : "");
"""


def browser() -> webdriver.Chrome:
    """Return a browser without a window and without a network."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if not all(programs):
        sys.exit("chromium and chromedriver are needed: on Debian, the package chromium-driver")
    options = Options()
    options.binary_location = programs[0]
    for argument in (
        "--headless=new",
        "--no-sandbox",  # root has none
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "SEVERE"})
    return webdriver.Chrome(options, Service(programs[1]))


def faults(driver: webdriver.Chrome, page: Path) -> list[str]:
    """Return what is wrong with a page."""
    driver.get(page.as_uri())
    driver.execute_script('for (const one of document.images) one.loading = "eager";')
    driver.execute_async_script(
        "const done = arguments[0];"
        "Promise.allSettled([...document.images].map((one) => one.decode())).then(done);"
    )
    found = list(driver.execute_script(FAULTS))
    found += [f"console: {entry['message']}" for entry in driver.get_log("browser")]
    for name, width in WIDTHS.items():
        resize(driver, width)
        wide = driver.execute_script(OVERFLOW)
        if wide:
            found.append(f"{name}: {wide}")
    return found


def resize(driver: webdriver.Chrome, width: int) -> None:
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )


def main(folder: Path) -> int:
    """Check all pages below a folder; return how many have faults."""
    pages = [page for page in sorted(folder.rglob("*.html")) if "_static" not in page.parts]
    if not pages:
        sys.exit(f"no page in {folder}: build the site first, make docs")
    bad = 0
    driver = browser()
    try:
        for page in pages:
            found = faults(driver, page)
            bad += bool(found)
            for fault in found:
                sys.stderr.write(f"{page.relative_to(folder)}: {fault}\n")
    finally:
        driver.quit()
    sys.stdout.write(f"{len(pages)} pages at {' and '.join(WIDTHS)} width, {bad} with faults\n")
    return bad


if __name__ == "__main__":
    default = Path(__file__).parent / "_build" / "html"
    sys.exit(min(main(Path(sys.argv[1]).resolve() if sys.argv[1:] else default), 1))

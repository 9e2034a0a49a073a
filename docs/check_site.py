"""Open every page of the built site in a headless browser and report what is wrong with it.

Usage: python docs/check_site.py SITE [--screenshots FOLDER]. Needs Chromium with chromedriver.
A page is wrong if the console has an error, a request fails or leaves this machine, it scrolls
sideways at one of two widths, a picture does not load, or a formula is not set.
"""

import argparse
import functools
import http.server
import json
import shutil
import sys
import tempfile
import threading
from pathlib import Path

from selenium import webdriver

WIDTHS = (1280, 390)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Runs in the page once it is loaded: waits for formulas and pictures, then measures.
MEASURE = """
const done = arguments[arguments.length - 1];
(async () => {
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  for (const image of document.images) {
    image.loading = "eager";
    await image.decode().catch(() => {});
  }
  const root = document.scrollingElement;
  done({
    overflow: root.scrollWidth - root.clientWidth,
    broken: [...document.images].filter((i) => !i.naturalWidth).map((i) => i.src),
    unset: [...document.querySelectorAll(".math")]
      .filter((e) => !e.querySelector("mjx-container") || e.querySelector("mjx-merror"))
      .map((e) => e.textContent.slice(0, 60)),
    height: root.scrollHeight,
  });
})();
"""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serve files without a line for each request."""

    def log_message(self, *args):
        """Say nothing."""


def serve(folder):
    """Serve a folder on a free local port; return the server and its address."""
    handler = functools.partial(QuietHandler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


def open_browser(profile):
    """Start Chromium with a fresh profile and logs of its console and network."""
    options = webdriver.ChromeOptions()
    browser = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    )
    options.binary_location = browser
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(60)
    driver.get("about:blank")
    driver.get_log("performance")  # forget the requests of the browser's own start page
    return driver


def network_faults(driver, site):
    """Yield requests since the last call that failed or went to another host."""
    for entry in driver.get_log("performance"):
        event = json.loads(entry["message"])["message"]
        details = event["params"]
        if event["method"] == "Network.requestWillBeSent":
            url = details["request"]["url"]
            if not url.startswith((site, "data:", "blob:")):
                yield f"request to another host: {url}"
        elif event["method"] == "Network.responseReceived":
            if details["response"]["status"] >= 400:
                yield f"status {details['response']['status']}: {details['response']['url']}"
        elif event["method"] == "Network.loadingFailed" and not details.get("canceled"):
            yield f"failed request: {details['errorText']}"


def faults(driver, site, page, width):
    """Open a page at a width and yield what is wrong with it."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.get(f"{site}/{page}")
    seen = driver.execute_async_script(MEASURE)
    if seen["overflow"] > 0:
        yield f"scrolls sideways by {seen['overflow']} px"
    for source in seen["broken"]:
        yield f"picture without a size: {source}"
    for formula in seen["unset"]:
        yield f"formula not set: {formula}"
    for entry in driver.get_log("browser"):
        if entry["level"] == "SEVERE":
            yield f"console: {entry['message']}"
    yield from network_faults(driver, site)


def save_screenshot(driver, path, width):
    """Save the whole page, at most 6000 px of it, as it is open now."""
    height = driver.execute_script("return document.scrollingElement.scrollHeight")
    metrics = {"width": width, "height": min(height, 6000), "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    path.parent.mkdir(parents=True, exist_ok=True)
    driver.save_screenshot(str(path))


def main():
    """Check every page at every width; exit with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--screenshots", type=Path, help="folder for a picture of every page")
    arguments = parser.parse_args()
    pages = sorted(p.relative_to(arguments.folder) for p in arguments.folder.rglob("*.html"))
    pages = [page for page in pages if "_static" not in page.parts]
    wrong = 0
    server, site = serve(arguments.folder)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        driver = open_browser(profile)
        try:
            for width in WIDTHS:
                for page in pages:
                    for fault in faults(driver, site, page.as_posix(), width):
                        wrong += 1
                        print(f"{page} at {width} px: {fault}")
                    if arguments.screenshots:
                        name = "-".join(page.with_suffix("").parts) + f"-{width}.png"
                        save_screenshot(driver, arguments.screenshots / name, width)
        finally:
            driver.quit()
            server.shutdown()
    print(f"{len(pages)} pages at widths {WIDTHS}: {wrong} faults")
    sys.exit(bool(wrong) or not pages)


if __name__ == "__main__":
    main()

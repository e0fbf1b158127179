"""A web page of a model beside `poise predict` of the file inside it, on the same pictures.

Usage: python benchmarks/browser_page.py MODEL.onnx --runtime FOLDER PICTURE ...
           [--detector nanodet] [--browser /usr/bin/chromium]

Needs `pip install playwright`, a Chromium, and the npm package onnxruntime-web (FOLDER), which is
put into the page. Prints pixels between the same keypoints of the same people.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from poise import Inferencer
from poise.export import export_page

#: Keypoints from which score are told apart, and milliseconds that a browser may take.
SURE, PATIENCE = 0.3, 120_000


def lines_of_page(page_file: Path, pictures: list[str], browser_file: str) -> list[Any]:
    """What the page saves of pictures."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=browser_file, args=flags)
        page = browser.new_page()
        page.goto(page_file.as_uri())
        page.locator("#choose:enabled").wait_for(timeout=PATIENCE)
        print(page.text_content("#state"))
        page.set_input_files("#file", pictures)
        last = f"{len(pictures)} of {len(pictures)}" if len(pictures) > 1 else pictures[-1]
        page.get_by_text(Path(last).name).wait_for(timeout=PATIENCE)
        page.locator("#save:enabled").wait_for(timeout=PATIENCE)
        found: list[Any] = []
        while len(found) < len(pictures):
            page.wait_for_timeout(500)
            with page.expect_download() as saved:
                page.click("#save")
            found = [json.loads(line) for line in saved.value.path().read_text().splitlines()]
        browser.close()
    return found


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="file of poise export")
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--runtime", required=True, help="folder of onnxruntime-web")
    parser.add_argument("--detector", help="as of poise export")
    parser.add_argument("--browser", default="/usr/bin/chromium")
    args = parser.parse_args()
    own = Inferencer(args.model, detector=args.detector or "nanodet")
    results = {Path(name).name: own(name)[0].to_dict() for name in args.pictures}
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "pose.html"
        export_page(args.model, page, detector=args.detector, runtime=args.runtime)
        lines = lines_of_page(page, args.pictures, args.browser)
    apart, sure = [], []
    for line in lines:
        people, others = line["instances"], results[line["image"]]["instances"]
        print(f"{line['image']}: {len(people)} in the page, {len(others)} of predict")
        for one in people if others else ():
            near = min(others, key=lambda o: np.abs(np.subtract(o["bbox"], one["bbox"])).sum())
            steps = np.subtract(one["keypoints"], near["keypoints"]).astype(float)
            apart += np.linalg.norm(steps, axis=-1).tolist()
            sure += (np.array(near["keypoint_scores"]) >= SURE).tolist()
    for name, values in (("all", np.array(apart)), ("sure", np.array(apart)[np.array(sure)])):
        middle, most = (np.median(values), values.max()) if len(values) else (np.nan, np.nan)
        print(f"{name}: {len(values)} keypoints, median {middle:.3f}, largest {most:.2f} px")


if __name__ == "__main__":
    main()

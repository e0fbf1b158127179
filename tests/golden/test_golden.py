"""Poise's numbers are MMPose's: a spread of the reference cases (`--golden-all`: every one)."""

import json
import os
import subprocess
import sys

import pytest

#: part -> cases taken for the everyday run (None: all); sized for under 5 minutes on two cores
SPREAD = {
    "codecs": None,
    "configs": None,
    "datasets": None,
    "loss": 12,
    "metrics": None,
    "models": 24,
    "optim": 24,
    "pipelines": 40,
    "predict": 20,
    "schemas": None,
}


def run_check(shared, tmp_path, *options):
    """Results of `check.py`, a dict a case."""
    report = tmp_path / "report.json"
    command = [sys.executable, str(shared / "golden" / "check.py"), "--json", str(report)]
    env = dict(os.environ, OMP_NUM_THREADS="1")
    run = subprocess.run([*command, *options], capture_output=True, text=True, env=env, check=False)
    assert report.is_file(), f"check.py ended without a report:\n{run.stdout}\n{run.stderr}"
    return json.loads(report.read_text())


def verdict(part, cases):
    """Fail on a case that differs or that Poise cannot run."""
    assert cases, f"no case of {part} ran"
    shown = [
        f"{c['case']}: {c.get('exception') or (c['path'], c['expected'], c['got'])}"
        for c in cases
        if c["status"] != "ok"
    ]
    count = sum(c["status"] == "ok" for c in cases)
    print(f"{part}: {count} of {len(cases)} reference cases agree")
    assert not shown, f"{len(shown)} of {len(cases)} differ:\n" + "\n".join(shown[:10])


@pytest.mark.slow
@pytest.mark.parametrize("part", SPREAD)
def test_numbers_agree_with_the_reference(part, shared, tmp_path, request):
    limit = None if request.config.getoption("--golden-all") else SPREAD[part]
    options = ["--part", part] + (["--limit", str(limit)] if limit else [])
    verdict(part, run_check(shared, tmp_path, *options))


@pytest.mark.slow
def test_config_files_give_the_trees_of_the_reference(shared, tmp_path):
    folder = os.environ.get("POISE_MMPOSE_CONFIGS")
    if not folder:
        pytest.skip("needs MMPose's config files: set POISE_MMPOSE_CONFIGS to its configs folder")
    cases = run_check(shared, tmp_path, "--part", "config_files", "--mmpose-configs", folder)
    verdict("config_files", cases)

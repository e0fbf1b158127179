"""Fast tests on every supported set of libraries and every Python that is found.

Usage: python .ci/matrix.py [--only SUBSTRING]

A set that cannot be tried, because its Python is absent, is reported as absent.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: name -> (constraints, Python versions)
SETS = {
    "numpy1-opencv4": (("numpy>=1.26,<2", "opencv-python-headless<=4.11.0.86"), ("3.11", "3.12")),
    "numpy2-opencv5": (("numpy>=2", "opencv-python-headless>=5"), ("3.11", "3.12", "3.13", "3.14")),
}
FAST = ["-m", "pytest", "-q", "-n", "2", "-m", "not slow", "tests", "--ignore=tests/golden"]


def find_python(version: str) -> str | None:
    """Interpreter of a version: on the path, or among pyenv's."""
    pyenv = Path.home() / ".pyenv" / "versions"
    candidates = [shutil.which(f"python{version}")]
    candidates += [str(p) for p in sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)]
    for c in filter(None, candidates):
        out = subprocess.run([c, "-V"], capture_output=True, text=True, check=False)
        if out.returncode == 0 and out.stdout.startswith(f"Python {version}."):
            return c
    return None


def run_set(name: str, version: str, python: str) -> bool:
    """Make the environment and run the fast tests in it."""
    venv = ROOT / ".venv-matrix" / f"{name}-py{version}"
    if not (venv / "bin" / "python").exists():
        subprocess.run([python, "-m", "venv", venv], check=True)
    own = str(venv / "bin" / "python")
    requirements = [*SETS[name][0], "--editable", f"{ROOT}[dev]"]
    subprocess.run([own, "-m", "pip", "install", "--quiet", *requirements], check=True)
    return subprocess.run([own, *FAST], cwd=ROOT, check=False).returncode == 0


def main() -> int:
    """Run all, print a table, return the number of failed sets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="sets whose name contains this")
    only = parser.parse_args().only
    rows = []
    for name, (_, versions) in SETS.items():
        for version in versions:
            label = f"{name}-py{version}"
            if only not in label:
                continue
            python = find_python(version)
            state = "absent" if python is None else None
            if python is not None:
                try:
                    state = "ok" if run_set(name, version, python) else "FAILED"
                except subprocess.CalledProcessError as error:
                    state = f"FAILED to install ({error.returncode})"
            rows.append((label, state))
    for label, state in rows:
        print(f"{label:24} {state}")
    return sum(state.startswith("FAILED") for _, state in rows)


if __name__ == "__main__":
    sys.exit(main())

"""Each part of the two largest folders says what is in it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = sorted(
    file
    for folder in ("inference", "training")
    for file in (ROOT / "poise" / folder).glob("**/__init__.py")
)


@pytest.mark.parametrize("file", PARTS, ids=lambda file: str(file.parent.relative_to(ROOT)))
def test_the_docstring_names_all_modules(file):
    text = file.read_text(encoding="utf-8").partition('"""')[2].partition('"""')[0]
    inside = [path for path in file.parent.iterdir() if path.name != "__init__.py"]
    names = {p.stem for p in inside if p.suffix == ".py" or (p / "__init__.py").is_file()}
    assert [name for name in sorted(names) if f"`{name}" not in text] == [], (
        "say in the docstring what these modules are"
    )

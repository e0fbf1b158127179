"""Files are read and written in ways that all systems have."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Positional arguments of which `encoding` is the last.
_ARGUMENTS = {"read_text": 1, "write_text": 2}


def attributes():
    """Every `something.name` of the package, and where it stands; calls with their arguments."""
    for path in (ROOT / "poise").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            call = node if isinstance(node, ast.Call) else None
            attribute = call.func if call else node
            if isinstance(attribute, ast.Attribute):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", attribute, call


def test_opencv_opens_no_file_by_its_name():
    """On Windows it finds none whose name has letters of other languages, and does not say so."""
    found = {
        place
        for place, attribute, _ in attributes()
        if ast.unparse(attribute) in ("cv2.imread", "cv2.imwrite")
    }
    instead = "use poise.transforms.image.stored_image, or cv2.imencode and write_bytes"
    assert found == set(), instead


def test_text_files_name_their_encoding():
    """On Windows it is that of the country, which reads what others wrote as something else."""
    found = {
        place
        for place, attribute, call in attributes()
        if call and attribute.attr in _ARGUMENTS and len(call.args) < _ARGUMENTS[attribute.attr]
        if "encoding" not in {keyword.arg for keyword in call.keywords}
    }
    assert found == set(), 'add encoding="utf-8"'

"""Models as web pages, which find poses in the browser of whoever opens them.

`page` writes them, `plan` is what a page must know of its networks, `runtime` which ONNX Runtime
it runs. The page itself is `page.html`, and modules of JavaScript: `geometry.js` (where to look,
and what is seen there), `codecs.js`, `people.js` (boxes), `runtime.js`, `poses.js`, and `main.js`,
which puts them on the page.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, {"page": "export_page"})

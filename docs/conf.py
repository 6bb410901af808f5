"""How Sphinx builds the documentation; `make docs` does it."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("_ext")))

project = "Pacifica Notifications"
author = "The authors of Pacifica Notifications"
copyright = "2026, " + author
release = version_of("pacifica-notifications")
version = ".".join(release.split(".")[:2])

extensions = ["myst_parser", "sphinx.ext.autodoc", "from_code"]
exclude_patterns = ["_build", "_ext"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

# A link into our own package that leads nowhere is an error. Other projects' names are not looked up, because
# that would need the network at every build.
nitpick_ignore_regex = [("py:.*", r"(?!pacifica\.).*")]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_title = f"{project} {release}"
html_show_sourcelink = False

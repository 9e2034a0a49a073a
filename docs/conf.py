"""Sphinx configuration of the numopt site."""

import importlib.metadata
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import tables  # noqa: E402

project = "numopt"
author = "numopt developers"
project_copyright = "numopt developers"
version = release = importlib.metadata.version("numopt-solvers")

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery/*.ipynb", "gallery/*.py"]
templates_path = ["_templates"]
suppress_warnings = ["config.cache"]  # the gallery's sort key is a class

# The public names are listed by hand in api.rst; numpydoc must not list members a second time.
autosummary_generate = True
autosummary_ignore_module_all = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
autodoc_typehints = "none"
default_role = "autolink"
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
# Types in signatures and bases that belong to other libraries, whose sites are not read here.
nitpick_ignore_regex = [(r"py:.*", r"(numpy|scipy|dict|OptimizeResult|collections)\b.*")]

html_theme = "pydata_sphinx_theme"
html_title = "numopt"
html_logo = html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["numopt.css"]
html_copy_source = False
html_show_sourcelink = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "header_links_before_dropdown": 6,
    "logo": {"text": "numopt"},
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": False,
}
html_sidebars = {"**": []}

# One file with its fonts inside, copied from an installed package: formulas render offline.
mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {
    "tex": {"macros": {"KL": r"\operatorname{KL}", "reg": r"\varepsilon"}},
    "svg": {"mtextInheritFont": True},
    "options": {"enableMenu": False},
}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

plot_formats = [("png", 144)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = False
plot_rcparams = {"figure.constrained_layout.use": True, "font.size": 8}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"(^|/)(?!plot_)[^/]*$",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "copyfile_regex": r"GALLERY_HEADER\.rst",
}


def copy_mathjax():
    """Copy the one MathJax file the pages load next to the site's own static files."""
    (source,) = [
        path
        for path in importlib.metadata.files("sphinx-mathjax-offline")
        if path.as_posix().endswith("static/mathjax/tex-svg.js")
    ]
    target = HERE / "_static" / "mathjax" / "tex-svg.js"
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(source.locate(), target)


def resolve_public_name(app, env, node, contnode):
    """Resolve a bare public name, as docstrings have it, from within any module."""
    if node.get("refdomain") != "py":
        return None
    target = f"numopt.{node['reftarget']}"
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contnode)


def skip_requests(_app, _what, name, *_):
    """Leave out what scikit-learn adds to estimators: its texts refer to its own site."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def setup(app):
    """Connect what is defined here."""
    app.connect("missing-reference", resolve_public_name)
    app.connect("autodoc-skip-member", skip_requests)


copy_mathjax()
tables.write(HERE / "generated")

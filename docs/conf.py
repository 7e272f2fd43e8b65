"""How Sphinx builds these pages: `make docs`. Nothing is fetched from elsewhere."""

from __future__ import annotations

from airflow_provider_magichour import __version__

project = "airflow-provider-magichour"
author = "airflow-provider-magichour contributors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "Magic Hour for Apache Airflow"
# Lines of 100 characters fit.
html_theme_options = {
    "light_css_variables": {"code-font-size": "75%"},
    "dark_css_variables": {"code-font-size": "75%"},
}
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False

# One argument a line where they do not fit into one.
python_maximum_signature_line_length = 100
autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
# Airflow's own classes say what they do in their own documentation.
autodoc_inherit_docstrings = False

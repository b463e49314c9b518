"""The desk: where people ask, decide and look. Pages (Jinja2) and a JSON API (FastAPI) over the same services."""

"""The dictionary: what a name is. Taxonomy, list parsers, the compiled index. Imports nothing of ours."""

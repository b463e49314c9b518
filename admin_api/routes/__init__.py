"""One file a page: route, template and test have the same name."""

"""The desk: pages and the JSON API for the people of the school."""

"""The box: command line, configuration, wiring, processes."""

"""What happened: events from the workers' spools into a log that can be searched."""

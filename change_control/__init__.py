"""Who asked, who agreed, what changed, and the proof of it. The only writer of policy."""

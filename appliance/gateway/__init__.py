"""The box in the school's network: what the kernel forwards, what it refuses, and what it brings to resolver and proxy."""

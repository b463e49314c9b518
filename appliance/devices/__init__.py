"""Who and what is in the school's networks: one process that listens to the kernel, to DHCP, to RADIUS and to sign-in."""

"""What needs hardware, without it: a virtual board on this machine."""

"""How fast this machine is, how fast the daemon is on it, and where the time goes."""

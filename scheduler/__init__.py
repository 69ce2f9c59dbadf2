"""Floor 3: runs programs on instruments, keeps the queue and recovers after a crash. Knows no face."""

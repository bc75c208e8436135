"""What a client remembers: in memory, and as a copy on the disk for when no server answers."""

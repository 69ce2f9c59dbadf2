"""Floor 2: watchers of one kind of trouble each. Pure, streaming, savable; they do no I/O."""

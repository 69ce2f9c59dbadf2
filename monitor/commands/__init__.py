"""The commands of ``sandtime``, by what they work on. Each module registers its own."""

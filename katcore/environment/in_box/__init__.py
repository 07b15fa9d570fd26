"""What runs in a box before any agent does: the walk that looks for what an agent should not find."""

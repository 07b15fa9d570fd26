"""What runs in an agent's box when the agent has ended."""

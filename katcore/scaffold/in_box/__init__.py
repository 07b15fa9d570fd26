"""What runs an agent in its box: our own loop, and what starts everybody else's.

The gateway's key is nowhere but in the memory, the environment and the files of the agent.
"""

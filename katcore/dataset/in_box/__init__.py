"""What runs the tests of imported and exported tasks, in a box or in somebody else's container."""

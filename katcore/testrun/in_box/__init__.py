"""What runs in a box beside the tests: what puts their files back, and pytest's plugin."""

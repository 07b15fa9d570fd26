"""What looks at a box's files where this machine cannot."""

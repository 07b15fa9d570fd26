"""kat-distill: which expert teaches a task, and what the experts think of the student's tokens."""

"""What is asked: one query, one filter grammar."""

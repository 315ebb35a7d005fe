"""What happens to a locked task: the way to its body, and out of it again."""

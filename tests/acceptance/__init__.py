"""What a user does: reads the README, types its commands, copies its code."""

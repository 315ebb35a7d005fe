"""The app: accounts with points, and what is charged to them."""

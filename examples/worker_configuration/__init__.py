"""Worker configuration: settings only, for one's own tasks and for other people's."""

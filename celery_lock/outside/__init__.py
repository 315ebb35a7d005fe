"""Outside a task: the locks of tasks, held in a view or a script."""

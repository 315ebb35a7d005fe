"""Programs that show the plugin at work; each folder stands alone."""

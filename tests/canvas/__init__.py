"""Random canvases, each played with plain tasks and with locked ones, and compared."""

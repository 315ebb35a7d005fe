"""How fast the locks are, beside plain tasks and beside other libraries: `make bench`."""

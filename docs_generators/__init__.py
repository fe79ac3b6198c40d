"""Generate pages of the documentation from the code: methods, commands, suite files."""

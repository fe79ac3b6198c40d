"""The pages of the documentation that are made from the code: a page a method, a page a command."""

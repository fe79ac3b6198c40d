"""The `srkd` command: parse options, call the library, print."""

"""The contract that every distillation method must fulfil."""

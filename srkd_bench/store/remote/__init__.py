"""The part of a store that machines share in object storage."""

"""The part of a store that several machines share in an object storage bucket."""

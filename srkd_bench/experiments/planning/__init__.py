"""What a suite needs: runs, tasks, weights to tune."""

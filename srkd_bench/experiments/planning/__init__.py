"""What a suite needs: runs, tasks, tuning trials."""

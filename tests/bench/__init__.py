"""What the service promises about speed, size and memory, each as a ratio against another way in the same run."""

"""What this process runs on: cores, threads, device, memory, environment variables, and what it prints."""

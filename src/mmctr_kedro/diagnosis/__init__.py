"""What the data will reward, told before any training."""

"""What every target, every gate and every database must do."""

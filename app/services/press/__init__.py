"""The newspaper: first this, then that."""

"""What the demonstration runs on: a simulated fleet, its weather, and headlines written for it."""

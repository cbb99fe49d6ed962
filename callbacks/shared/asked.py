"""What the stage tells its ranks of what was asked for, so that they can compare it with what they have. Light."""

DEVICE_ENV = "REGROW_DEVICE"
"""Environment variable: the device that the ranks shall train on, cpu or cuda. Unset: whatever there is."""

"""What the stage tells its ranks about the user's request, so that they can compare it with what they have. Light."""

DEVICE_ENV = "REGROW_DEVICE"
"""Environment variable: the device for the training, cpu or cuda. Unset: any device."""

"""What the tests stand on: a scripted upstream and a real gateway, both on loopback ports."""

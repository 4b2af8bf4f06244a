"""The protocol itself: hostile bytes, and answers compared with the byte."""

"""Boards with MicroPython on an ESP32: the image of their file system, and writing it to them."""

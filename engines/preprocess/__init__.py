"""Bytes and text to arrays, shared by training and serving."""

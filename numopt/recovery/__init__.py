"""Robust recovery."""

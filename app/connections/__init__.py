"""Builds, from the settings, what the operations work with: called by the command line, the app and the worker.

A module for each amount of it, so that who only looks does not wait for the imports of who restores, or serves.
"""

"""Tells people what happened, by mail and webhook."""

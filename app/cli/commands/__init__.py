"""The commands, imported when they are called: a module imports at the top what all of its commands need."""

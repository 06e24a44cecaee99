"""A backup, its trial, or a restore as a document for people who were not there."""

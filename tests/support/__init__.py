"""What the tests share: servers, files and cases; no test of its own."""

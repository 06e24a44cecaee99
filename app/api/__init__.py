"""HTTP only: routes parse, authorize, make one call, return."""

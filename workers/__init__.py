"""What runs beside the HTTP service. `app` never imports this package."""

"""How it goes: health, statistics, the list of clinics, metrics."""

"""A campaign of faults: real servers and processes break at random while clinics are backed up and restored."""

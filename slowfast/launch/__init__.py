"""Any number of processes behind one entry, and their submission; it knows no video."""

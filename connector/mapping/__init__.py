"""One company's mapping file: its model, loading and checking. Pure but for reading the file itself."""

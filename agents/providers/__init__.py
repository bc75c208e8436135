"""Model providers: which there are (registry, built_in), what a client of one is (protocol), a folder for each API."""

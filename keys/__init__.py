"""Who can read, who wrote: suites, sealing, signing, keyring, key records, roots, shredding."""

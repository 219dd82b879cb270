"""E-mail: parcels as signed and encrypted mail, over servers that are checked."""

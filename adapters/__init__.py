"""With whom we speak: everything outside the gateway plugs in here."""

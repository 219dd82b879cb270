"""E-mail: content-free notices, and S/MIME to and from the mail functions of other authorities (docs/channels.md)."""

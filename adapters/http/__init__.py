"""The HTTP side of the gateway: one route table, JSON for case systems; pages follow later."""

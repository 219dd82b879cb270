"""The HTTP side of the gateway: one route table with JSON for case systems (api/) and pages for people (web/)."""

"""May it be done: access and disclosure rules, evaluated by Cedar behind the Policy port."""

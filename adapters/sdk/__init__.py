"""SDK (Säker digital kommunikation): its messages, receipts and rules, as a message client needs them."""

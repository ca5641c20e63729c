"""Floor 7: claims, the card and its pages, the ledger."""

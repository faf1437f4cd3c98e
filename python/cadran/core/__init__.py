"""From a question to rows; nothing above is known here."""

"""What keeps a definition from changing unseen, and a published number from being rewritten."""

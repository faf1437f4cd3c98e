"""Charts, each drawn once as a picture; its writers place it on a page or at a fixed size."""

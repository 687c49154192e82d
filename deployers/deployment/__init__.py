"""A registered version goes to Jetsons and boards: pure plans, waves, signing, and what carries them out."""

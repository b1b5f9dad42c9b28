"""What a specimen of the newspaper is made from: a paper, its feeds, and a simulated fleet of journalists."""

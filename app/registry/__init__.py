"""Floor 2. The fleet file: providers and models as rows of data."""

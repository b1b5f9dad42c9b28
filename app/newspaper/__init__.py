"""Floor 1. The editorial logic of an edition: pure. What happened comes in as data, what is to be done goes out."""

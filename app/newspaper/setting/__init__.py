"""From an edition to what is read: HTML, Markdown, Atom, a letter. Pure: values in, bytes out."""

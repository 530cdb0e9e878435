"""One module a layout: each turns a corpus as its owners ship it into rows of the face table."""

"""Reports: the board pack of a period, made once as a document and written in several formats."""

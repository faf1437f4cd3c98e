"""Files for BI tools, one module or package for each tool."""

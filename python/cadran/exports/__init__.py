"""Files for BI tools, made from the definitions, the cards and the layer's answers."""

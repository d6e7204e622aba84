"""What a loss is about: a kind holds its inputs, how they are drawn, and what must hold of a formula over them."""

"""Text: of people and files, as it may stand where it lands: a terminal, Markdown, LaTeX, generated code."""

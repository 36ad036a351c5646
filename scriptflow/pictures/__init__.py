"""Pictures of graphs: folded, laid out, as SVG, Mermaid or DOT; knows nodes and edges, nothing of tasks or files."""

"""Reports of grids: tables, figures, data and page."""

"""Analyse grids of studies: gains of cells, training multipliers, effects of factors, advice."""

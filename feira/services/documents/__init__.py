"""Documents for people: PDF whose letters are bundled, and CSV that no spreadsheet takes for formulas."""

"""The paper's study: what many runs of eight models say together, as its tables, figures and one report."""

"""Many runs and what is made of them: statistics, baselines, tables, figures, the HTML report."""

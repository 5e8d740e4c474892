"""Questions without labels: spans that recur between passages (Spider, NAACL 2022)."""

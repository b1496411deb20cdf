"""The Gaussian study's tables, claims, explanations, figures and page."""

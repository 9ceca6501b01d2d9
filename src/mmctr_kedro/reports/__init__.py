"""Pages and figures: what a page says stands in ``templates/``, what it shows comes from the modules beside it."""

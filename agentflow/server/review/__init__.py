"""The review page: what a link opens, for one person, on any screen, without JavaScript."""

"""A run's log in the protocols of others: pure functions of its events, and the routes that serve them."""

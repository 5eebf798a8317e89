"""Who may do what: API keys, scopes, and the tokens that browsers get. Knows no HTTP."""

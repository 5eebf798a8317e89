"""Tools in the loops of other SDKs, each loaded when it is asked for."""

"""S1–S3: how long a token is on its way to a viewer, and how many viewers one server process serves.

A worker, a server and the viewers are processes of their own. The text of a token is the moment at which it was to be said, by the clock
that all of them share, so a worker that is late counts against us. Viewers keep what they receive with its time and are judged afterwards:
every token must have come exactly once, or the figure is none.
"""

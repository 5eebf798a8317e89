"""The Anthropic client in durable tasks: each call a step, each token in the run's stream."""

"""A tuned model for a lab: a chat page, OpenAI's interface, accounts.

On its own machine it needs no accounts; beyond that it refuses to listen without them and without
TLS, for whoever reaches it can use the processor without end and read what was asked. Nothing is
loaded from elsewhere and nothing is reported: letters, formulas and scripts come from this process.
"""

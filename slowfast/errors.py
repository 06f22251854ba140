"""The one class of a user's mistakes."""


class UserError(ValueError):
    """A user's mistake: the message names the key or file:line, the value, what is accepted and how to mend it.

    Tools print the message alone, without a traceback, and exit non-zero; any other exception is a defect of ours.
    """

"""The one exception of this package."""


class ConfigError(ValueError):
    """A mistake in a config file or an override; its message is one line for the user to act on."""

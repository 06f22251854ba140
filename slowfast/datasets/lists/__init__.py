"""List files and class folders to records; a mistake is named as file:line."""

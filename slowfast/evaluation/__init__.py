"""From logits of views to a report on videos."""

"""Speed, memory and size of models, of loading and of training."""

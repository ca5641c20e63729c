"""A posterior and a way to sample it, said in plain words: what studies, commands and repairs of heads share."""

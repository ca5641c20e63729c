"""Policies that write, tasks they are asked, and graders: what text is made of, before anything is learnt."""

"""Deliberative alignment: teach a policy of rules by thoughts that cite it, then by a judge that sees answers alone."""
